import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cleanformer_lite
from cleanformer_lite import (
    FusedMultiHeadAttention,
    LoopedMultiHeadAttention,
    SlicedMultiHeadAttention,
    SplitMultiHeadAttention,
    WideMultiHeadAttention,
    copy_weights,
)
from tests.implementations import assert_close
from tests.properties import random

E, H, D = 6, 3, 2
Maker = Callable[[], Any]


def sliced(bias: bool = True) -> Any:
    return SlicedMultiHeadAttention(E, H, bias=bias).double()


def shared() -> Any:
    return SlicedMultiHeadAttention(E, H, shared=True).double()


def wide() -> Any:
    return WideMultiHeadAttention(E, H).double()


KINDS = [sliced, shared, wide]
of_each = pytest.mark.parametrize("make", KINDS)


def expected(module: Any, query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
    """Each head by torch's own function, on what it may read."""
    parts = []
    for h, head in enumerate(module.heads):
        own = slice(D * h, D * h + D) if isinstance(module, SlicedMultiHeadAttention) else slice(E)
        q, k, v = (
            F.linear(x[..., own], linear.weight, linear.bias)
            for x, linear in ((query, head.q_proj), (memory, head.k_proj), (memory, head.v_proj))
        )
        parts.append(F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, h]))
    weight, bias = module.out_proj.weight, module.out_proj.bias
    mixed: Tensor = torch.cat(parts, dim=-1) @ weight.T + bias
    return mixed


@of_each
def test_each_head_is_a_single_head_on_what_it_reads(make: Maker) -> None:
    module, query, memory = make(), random(2, 5, E), random(2, 7, E)
    mask = torch.rand(2, H, 5, 7, generator=torch.Generator().manual_seed(2)) > 0.4
    mask[..., 0] = True
    assert_close(module(query, memory, attn_mask=mask), expected(module, query, memory, mask))
    mask = torch.ones(2, H, 5, 5, dtype=torch.bool).tril()
    assert_close(module(query, is_causal=True), expected(module, query, query, mask))


@of_each
def test_values_are_read_from_the_third_input(make: Maker) -> None:
    module, query, key, value = make(), random(2, 5, E), random(2, 7, E), random(2, 7, E) + 1.0
    mask = torch.ones(2, H, 5, 7, dtype=torch.bool)
    before, weights = module(query, key, value, need_weights=True)
    _, by_key = module(query, key, need_weights=True)
    assert torch.equal(weights, by_key)
    # Attention is linear in the values: with none of their biases, half of them give half.
    with torch.no_grad():
        for head in module.heads:
            head.v_proj.bias.zero_()
    bias = module.out_proj.bias
    whole, half = (module(query, key, factor * value) - bias for factor in (1.0, 0.5))
    assert_close(half, whole / 2)
    assert_close(module(query, key, key), expected(module, query, key, mask))
    assert not torch.equal(before, module(query, key, key))


@of_each
def test_weights_are_those_of_the_output(make: Maker) -> None:
    module, query, memory = make(), random(2, 5, E), random(2, 7, E)
    output, weights = module(query, memory, need_weights=True)
    assert weights.shape == (2, H, 5, 7)
    assert_close(weights.sum(-1), torch.ones(2, H, 5).double())
    assert torch.equal(output, module(query, memory))


@of_each
def test_which_input_moves_which_head(make: Maker) -> None:
    module, x = make(), random(1, 5, E)
    for feature in range(E):
        nudged = x.clone()
        nudged[0, 0, feature] += 1.0
        before, after = (module(y, need_weights=True)[1] for y in (x, nudged))
        moved = ((before - after).abs().amax(dim=(0, 2, 3)) > 1e-9).tolist()
        own = [make is wide or h == feature // D for h in range(H)]
        assert moved == own


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (sliced, 3 * H * (D * D + D) + E * E + E),
        (shared, 3 * (D * D + D) + E * E + E),
        (wide, 3 * H * (E * E + E) + H * E * E + E),
    ],
)
def test_parameters(make: Maker, count: int) -> None:
    assert sum(p.numel() for p in make().parameters()) == count


def test_a_shared_head_learns_from_every_slice() -> None:
    module, x = shared(), random(2, 5, E)
    whole = torch.autograd.grad(module(x).sum(), module.heads[0].v_proj.weight)[0]
    apart = sliced()
    copy_weights(module, apart)
    pieces = [head.v_proj.weight for head in apart.heads]
    assert_close(whole, torch.stack(torch.autograd.grad(apart(x).sum(), pieces)).sum(0))


@of_each
def test_a_query_that_reads_nothing_is_harmless(make: Maker) -> None:
    module, x = make(), random(2, 5, E).requires_grad_()
    mask = torch.ones(5, 5, dtype=torch.bool)
    mask[2] = False
    output = module(x, attn_mask=mask)
    assert torch.equal(output[:, 2], module.out_proj.bias.expand(2, E))
    for gradient in torch.autograd.grad(output.square().sum(), [x, *module.parameters()]):
        assert gradient.isfinite().all()


@of_each
def test_dropout_only_in_training(make: Maker) -> None:
    module, x = make(), random(2, 5, E)
    for head in module.heads:
        head.dropout = 0.5
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


@pytest.mark.parametrize("kind", [SlicedMultiHeadAttention, WideMultiHeadAttention])
def test_options_reach_the_heads(kind: Any) -> None:
    module = kind(E, H, dropout=0.25, bias=False)
    assert {head.dropout for head in module.heads} == {0.25}
    assert not [name for name, _ in module.named_parameters() if "bias" in name]
    with pytest.raises(ValueError, match="wanted a dropout"):
        kind(E, H, dropout=2.0)
    with pytest.raises(ValueError, match="wanted query of shape"):
        kind(E, H)(random(2, 5, 9))


def test_sizes() -> None:
    with pytest.raises(ValueError, match="num_heads divides"):
        SlicedMultiHeadAttention(7, 3)
    assert WideMultiHeadAttention(7, 3)(torch.zeros(2, 5, 7)).shape == (2, 5, 7)
    with pytest.raises(ValueError, match="at least 1"):
        WideMultiHeadAttention(7, 0)


WHOLE = [SplitMultiHeadAttention, LoopedMultiHeadAttention, FusedMultiHeadAttention]
to_each = pytest.mark.parametrize("kind", WHOLE)


@to_each
@pytest.mark.parametrize("make", [sliced, shared])
def test_copied_out_with_zeros_around_and_back(make: Maker, kind: Any) -> None:
    source, between, back = make(), kind(E, H).double(), make()
    x, memory = random(2, 5, E), random(2, 7, E)
    copy_weights(source, between)
    assert_close(between(x, memory), source(x, memory))
    copy_weights(between, back)
    assert torch.equal(back(x, memory), source(x, memory))


def test_copied_into_torch_and_from_it() -> None:
    source, theirs = sliced(), nn.MultiheadAttention(E, H, batch_first=True).double()
    x, back = random(2, 5, E), sliced()
    copy_weights(source, theirs)
    assert_close(theirs(x, x, x)[0], source(x))
    copy_weights(theirs, back)
    assert torch.equal(back(x), source(x))


def test_zeros_stand_outside_the_blocks() -> None:
    source, split = sliced(), SplitMultiHeadAttention(E, H).double()
    copy_weights(source, split)
    for row in range(E):
        for column in range(E):
            inside = row // D == column // D
            head = source.heads[row // D]
            wanted = head.k_proj.weight[row % D, column % D] if inside else 0.0
            assert split.k_proj.weight[row, column] == wanted


def refused(source: nn.Module, target: nn.Module, message: str) -> None:
    before = [p.clone() for p in target.parameters()]
    with pytest.raises(ValueError, match=message):
        copy_weights(source, target)
    assert all(torch.equal(a, b) for a, b in zip(before, target.parameters(), strict=True))


@pytest.mark.parametrize("name", ["q_proj", "k_proj", "v_proj"])
def test_one_weight_outside_a_block_is_refused(name: str) -> None:
    split = SplitMultiHeadAttention(E, H).double()
    copy_weights(sliced(), split)
    with torch.no_grad():
        split.get_parameter(f"{name}.weight")[1, 2] = 1e-9
    refused(split, sliced(), f"wanted a {name} that is zero outside the blocks.*own slice only")


def test_unequal_blocks_do_not_fit_a_shared_head() -> None:
    refused(sliced(), shared(), "wanted a q_proj with the same block for every head")
    source = sliced()
    copy_weights(shared(), source)
    with torch.no_grad():
        source.heads[2].k_proj.bias[1] += 1.0
    refused(source, shared(), "wanted a k_proj with the same block for every head")


def test_a_bias_that_would_be_lost_is_refused() -> None:
    refused(sliced(), sliced(bias=False), "wanted a target with a bias in q_proj")
    target = sliced()
    copy_weights(sliced(bias=False), target)
    assert (target.heads[1].v_proj.bias == 0).all()


def test_wide_heads_have_no_place_elsewhere() -> None:
    refused(wide(), SplitMultiHeadAttention(E, H).double(), "heads are embed_dim wide")
    refused(SplitMultiHeadAttention(E, H).double(), wide(), "heads are embed_dim wide")


def test_fused_and_split_copy_both_ways() -> None:
    fused, split = FusedMultiHeadAttention(E, H).double(), SplitMultiHeadAttention(E, H).double()
    x, memory = random(2, 5, E), random(2, 7, E)
    for source, target in ((fused, split), (SplitMultiHeadAttention(E, H).double(), fused)):
        copy_weights(source, target)
        assert_close(target(x, memory), source(x, memory))


def test_the_recording_says_what_the_page_says() -> None:
    folder = Path(cleanformer_lite.__file__).parent / "recordings"
    recorded = json.loads((folder / "separation.json").read_text())
    assert len(recorded["seeds"]) >= 5
    assert {"device", "dtype", "torch", "date", "command"} <= recorded.keys()
    sizes = recorded["parameters"].values()
    assert max(sizes) - min(sizes) < 0.01 * max(sizes)
    for layout, families in recorded["accuracy"].items():
        for family, scores in families.items():
            assert len(scores) == len(recorded["seeds"])
            solved = layout == "together" or family in ("split", "wide")
            assert min(scores) > 0.99 if solved else max(scores) < 0.56, (layout, family)
