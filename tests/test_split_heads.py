import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cleanformer_lite import (
    LoopedMultiHeadAttention,
    SplitMultiHeadAttention,
    merge_heads,
    split_heads,
)
from tests.implementations import (
    Problem,
    assert_close,
    assert_same_answer,
    by_split,
    by_torch_function,
    by_torch_module,
    problems,
)
from tests.properties import random

READABLE = ("none", "padding", "causal", "boolean", "one for all", "causal padding")
KINDS = [LoopedMultiHeadAttention, SplitMultiHeadAttention]
Kind = type[LoopedMultiHeadAttention] | type[SplitMultiHeadAttention]
both = pytest.mark.parametrize("kind", KINDS)


@given(problems(*READABLE))
def test_as_torch_module(problem: Problem) -> None:
    assert_same_answer(problem, by_split, by_torch_module)


@given(problems(*READABLE, "masked rows", "causal masked rows"))
def test_as_torch_function(problem: Problem) -> None:
    assert_same_answer(problem, by_split, by_torch_function)


@given(st.integers(0, 3), st.integers(0, 5), st.integers(1, 8), st.integers(1, 5))
def test_split_puts_every_number_where_it_belongs(n: int, length: int, h: int, d: int) -> None:
    x = torch.arange(n * length * h * d).view(n, length, h * d)
    split = split_heads(x, h)
    assert split.shape == (n, h, length, d)
    rows = x.tolist()
    assert split.tolist() == [
        [[row[k * d : (k + 1) * d] for row in rows[i]] for k in range(h)] for i in range(n)
    ]


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 8), st.integers(1, 5))
def test_merge_undoes_split_and_split_undoes_merge(n: int, length: int, h: int, d: int) -> None:
    x = torch.arange(n * length * h * d).view(n, length, h * d)
    assert torch.equal(merge_heads(split_heads(x, h)), x)
    y = x.view(n, h, length, d)
    assert torch.equal(split_heads(merge_heads(y), h), y)


def test_split_is_a_view_also_of_what_is_not_contiguous() -> None:
    for x in (torch.zeros(2, 5, 6), torch.zeros(6, 5, 2).transpose(0, 2)):
        split_heads(x, 3)[1, 2, 4, 1] = 1.0
        assert x[1, 4, 5] == 1.0


def test_merge_copies_unless_there_is_one_head() -> None:
    assert merge_heads(x := torch.zeros(2, 3, 5, 7)).data_ptr() != x.data_ptr()
    assert merge_heads(x := torch.zeros(2, 1, 5, 7)).data_ptr() == x.data_ptr()


@both
@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("lengths", [(0, 5), (1, 1), (1, 5), (5, 1), (5, 0)], ids=str)
def test_nothing_and_one(kind: Kind, batch: int, lengths: tuple[int, int]) -> None:
    module = kind(6, 3).double()
    query, memory = random(batch, lengths[0], 6), random(batch, lengths[1], 6)
    mask = torch.ones(batch, 1, *lengths, dtype=torch.bool)
    output, weights = module(query, memory, attn_mask=mask, need_weights=True)
    assert output.shape == query.shape
    assert weights.shape == (batch, 3, *lengths)
    assert_close(weights.sum(-1), torch.full(weights.shape[:3], float(lengths[1] > 0)).double())


@both
def test_weights_come_only_when_asked_for(kind: Kind) -> None:
    module, x = kind(6, 3), torch.zeros(2, 5, 6)
    assert isinstance(module(x), torch.Tensor)
    output, weights = module(x, need_weights=True)
    assert torch.equal(output, module(x))
    assert weights.shape == (2, 3, 5, 5)


@both
def test_key_stands_in_for_value_and_query_for_both(kind: Kind) -> None:
    module, x, memory = kind(6, 3).double(), random(2, 5, 6), random(2, 7, 6)
    assert torch.equal(module(x), module(x, x, x))
    assert torch.equal(module(x, memory), module(x, memory, memory))
    assert not torch.equal(module(x, memory), module(x, memory, memory.flip(1)))


@both
def test_queries_that_read_nothing_give_zeros_and_zero_gradients(kind: Kind) -> None:
    """No query reads anything: the output is the bias, and the bias alone gets a gradient."""
    module, x = kind(6, 3).double(), random(2, 5, 6).requires_grad_()
    output, weights = module(x, attn_mask=torch.zeros(5, 5, dtype=torch.bool), need_weights=True)
    assert (weights == 0).all()
    assert torch.equal(output, module.out_proj.bias.expand(2, 5, 6))
    output.sum().backward()
    assert x.grad is not None
    assert (x.grad == 0).all()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        wanted = 10.0 if name == "out_proj.bias" else 0.0
        assert (parameter.grad == wanted).all(), name


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_with_big_inputs_and_masked_rows(kind: Kind, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module, x = kind(6, 3).to(dtype), (random(2, 5, 6) * 100).to(dtype).requires_grad_()
    mask = torch.ones(5, 5, dtype=torch.bool).tril(-1)
    output = module(x, attn_mask=mask, is_causal=True)
    output.sum().backward()
    assert output.dtype == dtype
    assert output.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@both
def test_dropout_only_in_training(kind: Kind) -> None:
    torch.manual_seed(0)
    module, x = kind(6, 3, dropout=0.5).double(), random(2, 5, 6)
    _, dropped = module(x, need_weights=True)
    _, whole = module.eval()(x, need_weights=True)
    kept = dropped != 0
    assert 0 < kept.double().mean() < 1
    assert_close(dropped[kept], 2 * whole[kept])
    assert torch.equal(module(x), module(x))


def test_output_is_made_from_the_weights_it_returns() -> None:
    """Also with dropout: the weights returned are those that were used."""
    torch.manual_seed(0)
    module = SplitMultiHeadAttention(6, 3, dropout=0.4).double().train()
    x, memory = random(2, 5, 6), random(2, 7, 6)
    output, weights = module(x, memory, need_weights=True)
    assert (weights == 0).any()
    values = memory @ module.v_proj.weight.T + module.v_proj.bias
    read = [
        (weights[:, h, :, :, None] * values[:, None, :, 2 * h : 2 * h + 2]).sum(2) for h in range(3)
    ]
    mixed = torch.cat(read, -1) @ module.out_proj.weight.T + module.out_proj.bias
    assert_close(output, mixed)


def test_parameters_have_the_names_and_shapes_of_the_whole_matrices() -> None:
    shapes = {name: tuple(p.shape) for name, p in SplitMultiHeadAttention(6, 2).named_parameters()}
    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    expected = {f"{name}.weight": (6, 6) for name in names}
    assert shapes == expected | {f"{name}.bias": (6,) for name in names}
    without = SplitMultiHeadAttention(6, 2, bias=False)
    assert {name for name, _ in without.named_parameters()} == set(expected)
