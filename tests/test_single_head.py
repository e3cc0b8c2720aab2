import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from cleanformer_lite import SingleHeadAttention, scaled_dot_product_attention
from tests import oracles
from tests.implementations import Problem, assert_close, problems, tensor
from tests.properties import random


@given(problems("none", "causal", "boolean", "masked rows", "causal padding"))
def test_function_as_torch_function(problem: Problem) -> None:
    """Outputs and gradients, with two leading axes and values of another width."""
    shape = (problem.batch, problem.num_heads)
    query = problem.random(*shape, problem.length, problem.head_dim)
    key = problem.random(*shape, problem.keys, problem.head_dim)
    value = problem.random(*shape, problem.keys, 17)
    output, weights = scaled_dot_product_attention(
        query, key, value, attn_mask=problem.attn_mask, is_causal=problem.is_causal
    )
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=problem.whole_mask())
    assert_close(output, expected)
    assert_close((weights[..., None] * value[..., None, :, :]).sum(-2), output)
    assert ((weights > 0) == problem.whole_mask()).all()
    upstream = torch.cos(output.detach())
    for ours, theirs in zip(
        torch.autograd.grad(output, (query, key, value), upstream),
        torch.autograd.grad(expected, (query, key, value), upstream),
        strict=True,
    ):
        assert_close(ours, theirs)


@given(problems("none", "causal"), st.booleans())
def test_single_head_as_by_indices(problem: Problem, bias: bool) -> None:
    """One head is many heads with H = 1 and an output projection that does nothing."""
    head = SingleHeadAttention(problem.embed_dim, head_dim=3, bias=bias).double()
    query, key, value = problem.inputs()
    output, weights = head(query, key, value, is_causal=problem.is_causal, need_weights=True)
    state = {name: oracles.numbers(x.tolist()) for name, x in head.state_dict().items()}
    projections = {
        name: (state[f"{name}.weight"], state.get(f"{name}.bias"))
        for name in ("q_proj", "k_proj", "v_proj")
    }
    projections["out_proj"] = (oracles.numbers(torch.eye(3).tolist()), None)
    q, k, v = (oracles.numbers(x.tolist()) for x in (query, key, value))
    expected, expected_weights = oracles.multi_head(projections, q, k, v, 1, problem.may_attend)
    assert_close(output, tensor(oracles.values(expected)))
    assert_close(weights, tensor(oracles.values(expected_weights)))


def test_head_dim_is_embed_dim_unless_given() -> None:
    assert SingleHeadAttention(6)(torch.zeros(2, 5, 6)).shape == (2, 5, 6)
    assert SingleHeadAttention(6, head_dim=7)(torch.zeros(2, 5, 6)).shape == (2, 5, 7)


def test_key_stands_in_for_value_and_query_for_both() -> None:
    head = SingleHeadAttention(6).double()
    x, memory = random(2, 5, 6), random(2, 7, 6)
    assert torch.equal(head(x), head(x, x, x))
    assert torch.equal(head(x, memory), head(x, memory, memory))
    assert not torch.equal(head(x, memory), head(x, memory, memory.flip(1)))


def test_keys_and_values_are_stretched_to_the_leading_axes_of_the_query() -> None:
    query, key, value = random(2, 3, 5, 4), random(7, 4), random(1, 7, 4)
    output, weights = scaled_dot_product_attention(query, key, value)
    alone, _ = scaled_dot_product_attention(query[1, 2], key, value[0])
    assert weights.shape == (2, 3, 5, 7)
    assert_close(output[1, 2], alone)


def test_causal_and_mask_both_count() -> None:
    mask = torch.tensor([[True, True, True], [False, True, True], [True, False, True]])
    x = random(3, 2)
    _, weights = scaled_dot_product_attention(x, x, x, attn_mask=mask, is_causal=True)
    allowed = [[True, False, False], [False, True, False], [True, False, True]]
    assert (weights > 0).tolist() == allowed


def test_causal_counts_from_the_first_key_when_lengths_differ() -> None:
    _, weights = scaled_dot_product_attention(
        random(2, 4), random(5, 4), random(5, 4), is_causal=True
    )
    assert (weights > 0).tolist() == [[True] + [False] * 4, [True] * 2 + [False] * 3]


@pytest.mark.parametrize("lengths", [(0, 5), (5, 0), (1, 1), (1, 5), (5, 1)], ids=str)
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_nothing_and_one(batch: int, lengths: tuple[int, int]) -> None:
    length, keys = lengths
    query, memory = random(batch, length, 4), random(batch, keys, 4)
    output, weights = scaled_dot_product_attention(query, memory, memory, is_causal=True)
    assert output.shape == query.shape
    assert weights.shape == (batch, length, keys)
    if keys == 1:
        assert_close(output, memory.expand_as(output))
    if keys == 0:
        assert_close(output, torch.zeros_like(output))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [0.5, 100.0])
def test_half_precision_stays_near_double(dtype: torch.dtype, size: float) -> None:
    """Also where unscaled scores of 100 * 100 * 16 would overflow, and with rows all masked."""
    x = (random(3, 5, 16).sign() * size).to(dtype)
    mask = torch.ones(5, 5, dtype=torch.bool).tril(-1)
    output, weights = scaled_dot_product_attention(x, x, x, attn_mask=mask)
    wide = x.double()
    expected, _ = scaled_dot_product_attention(wide, wide, wide, attn_mask=mask)
    assert output.dtype == weights.dtype == dtype
    assert_close(output.double(), expected, tolerance=size * torch.finfo(dtype).eps * 2)
    assert (output[:, 0] == 0).all()


def test_a_blocked_key_loses_to_the_worst_of_scores() -> None:
    """A fixed big negative number in place of a blocked score would beat the -1e12 of the other."""
    key = torch.tensor([[-1e6], [1.0]], dtype=torch.float64)
    mask = torch.tensor([True, False])
    _, weights = scaled_dot_product_attention(-key[:1], key, key, attn_mask=mask)
    assert weights.tolist() == [[1.0, 0.0]]


def test_gradients_in_half_precision_are_finite() -> None:
    x = (random(3, 5, 16) * 20).half().requires_grad_()
    mask = torch.ones(5, 5, dtype=torch.bool).tril(-1)
    output, _ = scaled_dot_product_attention(x, x, x, attn_mask=mask)
    (gradient,) = torch.autograd.grad(output.sum(), x)
    assert gradient.isfinite().all()


def test_dropped_weights_are_zero_and_the_others_grow_by_as_much() -> None:
    torch.manual_seed(0)
    query, memory = random(2, 3, 97, 4), random(2, 3, 89, 4)
    _, whole = scaled_dot_product_attention(query, memory, memory, dropout=0.2)
    output, dropped = scaled_dot_product_attention(
        query, memory, memory, dropout=0.2, training=True
    )
    kept = dropped != 0
    share = kept.double().mean().item()
    assert math.isclose(share, 0.8, abs_tol=0.01)  # 51,798 coins: deviation 0.0018
    assert_close(dropped[kept], whole[kept] / 0.8)
    assert_close(output, (dropped[..., None] * memory[..., None, :, :]).sum(-2))


def test_dropout_rests_outside_of_training() -> None:
    x = random(2, 5, 6)
    head = SingleHeadAttention(6, dropout=0.5).double()
    torch.manual_seed(0)
    assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))
