"""A mistake as an answer to a function exercise, made from the steps that it replaces."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.checks.engine.attention import Attention, replaced_steps
from cleanformer_lite.checks.engine.layouts import Projections
from cleanformer_lite.checks.engine.references import Block, padding_mask, split_projection
from cleanformer_lite.checks.mistake import MISTAKES, Forms

Steps = type[Attention]
NONE = torch.zeros(0)
# For steps that are run by themselves, on what an exercise hands over.
WITHOUT = Projections(NONE, NONE, NONE, None, NONE, NONE, NONE, NONE)


def _scores(kind: Steps) -> Callable[..., Any]:
    return lambda query, key: kind(WITHOUT, 1).scores(query, key)


def _masked_softmax(kind: Steps) -> Callable[..., Any]:
    return lambda scores, attn_mask: kind(WITHOUT, 1).share(scores, attn_mask, False)


def _attention(kind: Steps) -> Callable[..., Any]:
    def attention(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        steps = kind(WITHOUT, 1)
        weights = steps.share(steps.scores(query, key), attn_mask, False)
        return steps.mix(weights, value), weights

    return attention


def _run_heads(kind: Steps) -> Callable[..., Any]:
    def run_heads(
        x: Tensor, query_weights: Tensor, key_weights: Tensor, value_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        query, key, value = (w.flatten(0, 1) for w in (query_weights, key_weights, value_weights))
        zeros = torch.zeros(len(query))
        projections = Projections(query, key, value, None, zeros, zeros, zeros, zeros)
        return kind(projections, len(query_weights))(x)

    return run_heads


def _fused_forward(kind: Steps) -> Callable[..., Any]:
    def fused_forward(
        x: Tensor, in_weight: Tensor, out_weight: Tensor, num_heads: int,
        attn_mask: Tensor | None = None, is_causal: bool = False, dropout: float = 0.0,
        training: bool = False,
    ) -> Tensor:  # fmt: skip
        zeros = torch.zeros(x.shape[-1])
        query, key, value = in_weight.chunk(3)
        projections = Projections(query, key, value, out_weight, zeros, zeros, zeros, zeros)
        steps = kind(projections, num_heads, dropout)
        steps.training = training
        return steps(x, attn_mask, is_causal)[0]

    return fused_forward


class _Sliced(nn.Module):
    """Sliced heads, whose matrices are blocks with zeros around them, by other steps."""

    def __init__(self, embed_dim: int, num_heads: int, kind: Steps) -> None:
        super().__init__()
        self.num_heads, self.kind = num_heads, kind
        width = embed_dim // num_heads
        self.three = nn.Parameter(torch.zeros(3, num_heads, width, width))
        self.out = nn.Parameter(torch.zeros(embed_dim, embed_dim)) if kind.uses_out else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value = (torch.block_diag(*blocks) for blocks in self.three)
        zeros = torch.zeros(x.shape[-1])
        projections = Projections(query, key, value, self.out, zeros, zeros, zeros, zeros)
        return self.kind(projections, self.num_heads)(x)


def _mask(kind: Steps, is_causal: bool) -> Callable[..., Any]:
    def make(tokens: Tensor, padding: int) -> Tensor | None:
        scores = torch.zeros(len(tokens), 1, tokens.shape[1], tokens.shape[1])
        return kind(WITHOUT, 1).allowed(scores, padding_mask(tokens, padding), is_causal)

    return make


SCORES = {"scale", "scores"}
WEIGHTS = {"softmax", "weigh", "allowed", "fill"}
OF_A_HEAD = SCORES | {"softmax", "mix"}
# Which steps an exercise is about, and how a class of steps becomes an answer to it.
MADE_OF_STEPS: dict[str, tuple[set[str], Callable[[Steps], Callable[..., Any]]]] = {
    "single_head.scores": (SCORES, _scores),
    "single_head.mask": (WEIGHTS, _masked_softmax),
    "single_head.attention": (SCORES | WEIGHTS | {"mix"}, _attention),
    "looped_heads.join": (
        {"merge"},
        lambda kind: lambda outputs: kind(WITHOUT, len(outputs)).merge(torch.stack(outputs, dim=1)),
    ),
    "looped_heads.run": (
        OF_A_HEAD | {"turn", "project", "split", "merge", "around"},
        _run_heads,
    ),
    "split_heads.split": (
        {"split"},
        lambda kind: lambda x, num_heads: kind(WITHOUT, num_heads).split(x),
    ),
    "split_heads.merge": ({"merge"}, lambda kind: lambda x: kind(WITHOUT, x.shape[1]).merge(x)),
    "sliced_heads.module": (
        OF_A_HEAD | {"turn", "project", "split", "merge", "out", "around"},
        lambda kind: partial(_Sliced, kind=kind),
    ),
    "fused_heads.thirds": (
        {"split"},
        lambda kind: (
            lambda projected, num_heads: tuple(
                kind(WITHOUT, num_heads).split(part) for part in projected.chunk(3, dim=-1)
            )
        ),
    ),
    "fused_heads.forward": (
        OF_A_HEAD
        | WEIGHTS
        | {"turn", "project", "split", "causal", "drop", "merge", "out", "around"},
        _fused_forward,
    ),
    "transformer.padding_mask": ({"allowed"}, lambda kind: _mask(kind, is_causal=False)),
    "transformer.decoder_mask": ({"allowed", "causal"}, lambda kind: _mask(kind, is_causal=True)),
}


def known_in(exercise: str) -> Forms:
    """List the wrong answers to a function exercise, by the mistake that they make.

    Those that follow from replaced steps come first, then those written beside the mistake.
    """
    steps, answer_of = MADE_OF_STEPS.get(exercise, (set(), lambda kind: kind))
    found: Forms = {}
    for known in MISTAKES.values():
        kinds = known.classes if exercise not in known.not_in else []
        made = tuple(
            answer_of(kind)
            for kind in kinds
            if replaced_steps(kind) & steps and exercise not in vars(kind).get("not_in", ())
        )
        if answers := made + known.forms.get(exercise, ()):
            found[known.id] = answers
    return found


def forward_with(
    cut: Callable[[Tensor, int], tuple[Tensor, ...]] = split_projection, *,
    turned: bool = False, in_turned: bool = False,
) -> Callable[..., Any]:  # fmt: skip
    """The fused forward pass with another cut of the projection, or matrices turned."""

    def fused_forward(
        x: Tensor, in_weight: Tensor, out_weight: Tensor, num_heads: int,
        attn_mask: Tensor | None = None, is_causal: bool = False, dropout: float = 0.0,
        training: bool = False,
    ) -> Tensor:  # fmt: skip
        steps = Attention(WITHOUT, num_heads, dropout)
        steps.training = training
        if in_turned:
            in_weight = torch.cat([part.t() for part in in_weight.chunk(3)])
        query, key, value = cut(F.linear(x, in_weight), num_heads)
        weights = steps.share(steps.scores(query, key), attn_mask, is_causal)
        merged = steps.merge(steps.mix(steps.drop(weights), value))
        return merged @ (out_weight if turned else out_weight.t())

    return fused_forward


EVERY = ("old total", "old mean", "new total", "new mean")
SOME = tuple(chosen for n in range(4) for chosen in itertools.combinations(EVERY, n))


def merged_with(
    *rescaled: str, guarded: bool = True, inverted: tuple[str, ...] = ()
) -> Callable[..., Block]:
    """Merge two blocks, bringing only the named totals and means to the new maximum.

    Of the sides that `inverted` names, "old" and "new", the factor is upside down.
    """

    def merge(top: Tensor, total: Tensor, mean: Tensor, *other: Tensor) -> Block:
        largest = torch.maximum(top, other[0])
        shrink, grow = torch.exp(top - largest), torch.exp(other[0] - largest)
        shrink = 1 / shrink if "old" in inverted else shrink
        grow = 1 / grow if "new" in inverted else grow
        if guarded:
            shrink, grow = shrink.nan_to_num(1.0), grow.nan_to_num(1.0)
        parts = {"old total": total, "old mean": mean, "new total": other[1], "new mean": other[2]}
        for name in rescaled:
            parts[name] = parts[name] * (shrink if name.startswith("old") else grow)
        both = [parts[f"old {name}"] + parts[f"new {name}"] for name in ("total", "mean")]
        return largest, both[0], both[1]

    return merge


def in_blocks(
    query: Tensor, key: Tensor, value: Tensor, block: int, *, scale: bool = True,
    rescale: Sequence[str] = EVERY, whole: bool = False, apart: bool = False,
    inverted: tuple[str, ...] = (),
) -> Tensor:  # fmt: skip
    """Read block after block; another setting than the defaults is a mistake."""
    state: list[Tensor] = []
    outputs = []
    for first in range(0, len(key) - block + 1 if whole else len(key), block):
        scores = query @ key[first : first + block].T / (query.shape[-1] ** 0.5 if scale else 1.0)
        top = scores.amax(-1, keepdim=True)
        powers = torch.exp(scores - top)
        new = [top, powers.sum(-1, keepdim=True), powers @ value[first : first + block]]
        outputs.append(new[2] / new[1])
        state = list(merged_with(*rescale, inverted=inverted)(*state, *new)) if state else new
    return torch.stack(outputs).mean(0) if apart else state[2] / state[1]


def filled(scores: Tensor, attn_mask: Tensor, low: float | None = None) -> Tensor:
    """Take a softmax over scores with a low number where the mask is False."""
    low = torch.finfo(scores.dtype).min if low is None else low
    return torch.softmax(scores.masked_fill(~attn_mask, low), dim=-1)
