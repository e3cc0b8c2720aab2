"""Every refusal of the package says what was wanted and what came."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from cleanformer_lite import (
    FusedMultiHeadAttention,
    HeadsBuiltInForward,
    HeadsInPlainList,
    LoopedMultiHeadAttention,
    SingleHeadAttention,
    SlicedMultiHeadAttention,
    SplitMultiHeadAttention,
    WideMultiHeadAttention,
    inputs,
    merge_heads,
    scaled_dot_product_attention,
    single_head,
    split_heads,
)
from cleanformer_lite.inputs import broadcasts_to

MULTI = [
    LoopedMultiHeadAttention,
    SplitMultiHeadAttention,
    HeadsBuiltInForward,
    HeadsInPlainList,
]
ALL = [*MULTI, lambda embed_dim, num_heads, **options: SingleHeadAttention(embed_dim, **options)]
IDS = ["looped", "split", "built in forward", "plain list", "single"]
multi = pytest.mark.parametrize("kind", MULTI, ids=IDS[:-1])
every = pytest.mark.parametrize("kind", ALL, ids=IDS)
Kind = Callable[..., nn.Module]


def zeros(*shape: int, device: str = "cpu") -> Tensor:
    return torch.zeros(shape, device=device)


@multi
@pytest.mark.parametrize(
    ("embed_dim", "num_heads", "message"),
    [
        (10, 3, r"wanted an embed_dim that num_heads divides, got embed_dim=10, num_heads=3 \(rem"),
        (2, 3, r"wanted an embed_dim that num_heads divides, got .*\(remainder 2\)"),
        (0, 3, "wanted embed_dim and num_heads of at least 1, got embed_dim=0, num_heads=3"),
        (6, 0, "wanted embed_dim and num_heads of at least 1, got embed_dim=6, num_heads=0"),
        (6, -3, "wanted .* at least 1, got embed_dim=6, num_heads=-3"),
    ],
)
def test_sizes(kind: Kind, embed_dim: int, num_heads: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(embed_dim, num_heads)


@every
@pytest.mark.parametrize("dropout", [-0.1, 1.5, float("nan")])
def test_dropout(kind: Kind, dropout: float) -> None:
    with pytest.raises(ValueError, match=f"wanted a dropout between 0 and 1, got {dropout}"):
        kind(6, 3, dropout=dropout)


@pytest.mark.parametrize("options", [{}, {"head_dim": 5}])
def test_single_head_embed_dim(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1, got embed_dim=0"):
        SingleHeadAttention(0, **options)  # type: ignore[arg-type]


def test_single_head_head_dim() -> None:
    with pytest.raises(ValueError, match=r"wanted a head_dim of at least 1, got 0"):
        SingleHeadAttention(6, head_dim=0)


WRONG_INPUTS = [
    ((zeros(5, 6),), {}, r"wanted query of shape \(N, length, 6\), got \(5, 6\)"),
    ((zeros(2, 3, 5, 6),), {}, r"wanted query of shape .*, got \(2, 3, 5, 6\)"),
    ((zeros(2, 5, 7),), {}, r"wanted query of shape \(N, length, 6\), got \(2, 5, 7\)"),
    ((zeros(2, 5, 6), zeros(5, 6)), {}, r"wanted key of shape .*, got \(5, 6\)"),
    ((zeros(2, 5, 6), zeros(2, 7, 3)), {}, r"wanted key of shape .*, got \(2, 7, 3\)"),
    ((zeros(2, 5, 6), zeros(2, 7, 6), zeros(2, 7, 3)), {}, r"wanted value of .*, got \(2, 7, 3\)"),
    ((zeros(2, 5, 6), zeros(3, 7, 6)), {}, "wanted key with the query's batch of 2, got 3"),
    ((zeros(2, 5, 6), zeros(1, 7, 6)), {}, "wanted key with the query's batch of 2, got 1"),
    (
        (zeros(2, 5, 6), zeros(2, 7, 6), zeros(3, 7, 6)),
        {},
        "wanted value with the query's batch of 2, got 3",
    ),
    (
        (zeros(2, 5, 6), zeros(2, 7, 6), zeros(2, 3, 6)),
        {},
        "wanted one value per key, got 7 keys and 3 values",
    ),
    ((zeros(2, 5, 6), None, zeros(2, 5, 6)), {}, "wanted a key to go with the value"),
    (
        (zeros(2, 5, 6), zeros(2, 7, 6, device="meta")),
        {},
        "wanted key on the query's device cpu, got meta",
    ),
    (
        (zeros(2, 5, 6), zeros(2, 7, 6), zeros(2, 7, 6, device="meta")),
        {},
        "wanted value on the query's device cpu, got meta",
    ),
    (
        (zeros(2, 5, 6),),
        {"attn_mask": zeros(5, 5)},
        r"wanted a boolean attn_mask \(True = may attend\), got torch.float32",
    ),
    (
        (zeros(2, 5, 6),),
        {"attn_mask": zeros(5, 5).byte()},
        "wanted a boolean attn_mask .*, got torch.uint8",
    ),
    (
        (zeros(2, 5, 6),),
        {"attn_mask": zeros(5, 5, device="meta").bool()},
        "wanted attn_mask on the query's device cpu, got meta",
    ),
    (
        (zeros(2, 5, 6), zeros(2, 7, 6)),
        {"attn_mask": zeros(7, 5).bool()},
        r"wanted an attn_mask that broadcasts to \(2, [13], 5, 7\), got \(7, 5\)",
    ),
    (
        (zeros(2, 5, 6),),
        {"attn_mask": zeros(2, 5, 5).bool()},
        r"wanted an attn_mask that broadcasts to \(2, [13], 5, 5\), got \(2, 5, 5\)",
    ),
    (
        (zeros(1, 5, 6),),
        {"attn_mask": zeros(2, 1, 5, 5).bool()},
        r"wanted an attn_mask that broadcasts to \(1, [13], 5, 5\), got \(2, 1, 5, 5\)",
    ),
]


@every
@pytest.mark.parametrize(("inputs", "options", "message"), WRONG_INPUTS)
def test_modules(
    kind: Kind, inputs: tuple[Tensor | None, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kind(6, 3)(*inputs, **options)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((zeros(6), zeros(7, 6), zeros(7, 6)), r"wanted query of shape .*, got \(6,\)"),
        ((zeros(5, 6), zeros(6), zeros(7, 6)), r"wanted key of shape .*, got \(6,\)"),
        ((zeros(5, 6), zeros(7, 6), zeros(6)), r"wanted value of shape .*, got \(6,\)"),
        ((zeros(5, 6), zeros(7, 4), zeros(7, 6)), "query and key of one width, got 6 and 4"),
        ((zeros(5, 6), zeros(7, 6), zeros(3, 6)), "one value per key, got 7 keys and 3 values"),
        (
            (zeros(2, 5, 6), zeros(3, 7, 6), zeros(3, 7, 6)),
            r"wanted key with the query's leading axes \(2,\), got \(3,\)",
        ),
        (
            (zeros(5, 6), zeros(7, 6), zeros(2, 7, 6)),
            r"wanted value with the query's leading axes \(\), got \(2,\)",
        ),
        (
            (zeros(5, 6), zeros(7, 6, device="meta"), zeros(7, 6)),
            "wanted key on the query's device cpu, got meta",
        ),
        (
            (zeros(5, 6, device="meta"), zeros(7, 6), zeros(7, 6)),
            "wanted key on the query's device meta, got cpu",
        ),
    ],
)
def test_function(inputs: tuple[Tensor, Tensor, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scaled_dot_product_attention(*inputs)


def test_split_heads() -> None:
    with pytest.raises(ValueError, match=r"wanted x of shape \(N, L, E\), got \(5, 6\)"):
        split_heads(zeros(5, 6), 3)
    with pytest.raises(ValueError, match="got embed_dim=6, num_heads=4"):
        split_heads(zeros(2, 5, 6), 4)


def test_merge_heads() -> None:
    with pytest.raises(ValueError, match=r"wanted x of shape \(N, H, L, D\), got \(2, 5, 6\)"):
        merge_heads(zeros(2, 5, 6))


CALLED = [*MULTI, FusedMultiHeadAttention, SlicedMultiHeadAttention, WideMultiHeadAttention]


@pytest.mark.parametrize("kind", CALLED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("need_weights", [False, True])
def test_inputs_are_checked_once_a_call(
    kind: Kind, need_weights: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("check_memory", "check_mask"):
        original = getattr(inputs, name)

        def counted(*given: Any, name: str = name, original: Any = original) -> None:
            calls.append(name)
            original(*given)

        for module in (inputs, single_head):
            monkeypatch.setattr(module, name, counted)
    x, mask = zeros(2, 5, 6), torch.ones(5, 5, dtype=torch.bool)
    kind(6, 3)(x, attn_mask=mask, need_weights=need_weights)
    assert sorted(calls) == ["check_mask", "check_memory"]


def test_a_head_of_a_loop_still_checks_whoever_calls_it_alone() -> None:
    with pytest.raises(ValueError, match=r"wanted query of shape \(N, length, 6\)"):
        LoopedMultiHeadAttention(6, 3).heads[0](zeros(2, 5, 7))


shapes = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@given(shapes, shapes)
def test_broadcasts_to_as_torch_does(shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    try:
        zeros(*shape).expand(target)
    except RuntimeError:
        assert not broadcasts_to(shape, target)
    else:
        assert broadcasts_to(shape, target)
