"""Mistakes in which axis is which. Wrong on purpose."""

from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.attention import Attention, Comparison
from cleanformer_lite.checks.engine.compare import matches
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.engine.trials import LARGE
from cleanformer_lite.checks.mistake import mistake, variant_of
from cleanformer_lite.copy_weights import copy_weights
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention


@mistake(
    cause="`.T` reverses all axes, where the last two are to be exchanged",
    symptom="right for one matrix; with leading axes it raises, or mixes samples",
    thread="flrngel/Self-Attentive-tensorflow#3",
    hints=(
        "Try it with a batch of two samples.",
        "What is the shape of `key.T` if key has four axes?",
        "`key.transpose(-2, -1)`, or `key.mT`.",
    ),
)
class AllAxesReversed:
    """Turns every axis round."""

    forms = {
        "single_head.scores": (
            lambda query, key: (
                query @ key.permute(*reversed(range(key.dim()))) / query.shape[-1] ** 0.5
            ),
        ),
    }


def _added_up(x: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    output, maps = references.run_heads(x, *weights)
    return output.unflatten(-1, (maps.shape[1], -1)).sum(dim=2), maps


@mistake(
    cause="heads are added up (or averaged), where they stand side by side",
    symptom="the result is D wide in place of E, or all heads are one",
    hints=(
        "Which shape has your result? Which one is asked for?",
        "A token of E numbers has room for all heads. What do you do to them?",
        "`torch.cat(outputs, dim=-1)`.",
    ),
)
class HeadsSummed(Attention):
    """Adds heads up, and hands the sum to every head."""

    forms = {
        "looped_heads.join": (
            lambda outputs: torch.stack(outputs).sum(0),
            lambda outputs: torch.stack(outputs).mean(0),
        ),
        "split_heads.merge": (lambda x: x.sum(1), lambda x: x.mean(1)),
        "looped_heads.run": (_added_up,),
    }

    def merge(self, x: Tensor) -> Tensor:
        return super().merge(x.sum(dim=1, keepdim=True).expand(x.shape))


@variant_of(HeadsSummed)
class HeadsAveraged(Attention):
    """The same with a mean."""

    def merge(self, x: Tensor) -> Tensor:
        return super().merge(x.mean(dim=1, keepdim=True).expand(x.shape))


def _are_averaged(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    """Say whether the mean of the maps comes back: as one map, or as the map of every head."""
    weights = evidence.call("large", "unmasked").weights
    batch, length, _ = evidence.calls["large"]["unmasked"].x.shape
    shapes = {(batch, length, length), (batch, 1, length, length)}
    if isinstance(weights, Tensor) and tuple(weights.shape) in shapes:
        return True
    return any(
        comparison.reading.is_whole and _returns_the_mean(comparison)
        for comparison in evidence.comparisons
    )


def _returns_the_mean(comparison: Comparison) -> bool:
    right, outcome = (
        Attention(comparison.reading, LARGE.num_heads),
        comparison.trial.call("unmasked"),
    )
    maps = comparison.weights(right, "unmasked")
    mean = maps.mean(dim=1, keepdim=True).expand(maps.shape)
    is_right = matches(outcome.output, comparison.output(right, "unmasked"))
    return is_right and matches(outcome.weights, mean)


def _maps_averaged(x: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    output, maps = references.run_heads(x, *weights)
    return output, maps.mean(dim=1)


@mistake(
    cause="the maps of all heads are averaged before they are returned",
    symptom="one map comes back, or the same for every head, and no head can be looked at",
    hints=(
        "Which shape have your weights?",
        "How many maps do H heads make? What happened to the others?",
        "Return `(N, H, L, L)`; for `nn.MultiheadAttention` that is `average_attn_weights=False`.",
    ),
    tells=_are_averaged,
)
class MapsAveraged:
    """Returns the mean of the maps."""

    forms = {"looped_heads.run": (_maps_averaged,)}


@torch.no_grad()
def _copy_interleaved(looped: Any, split: Any) -> None:
    copy_weights(looped, split)
    for name in ("q_proj", "k_proj", "v_proj"):
        layers = [getattr(head, name) for head in looped.heads]
        copied = getattr(split, name)
        copied.weight.copy_(torch.stack([layer.weight for layer in layers], dim=1).flatten(0, 1))
        copied.bias.copy_(torch.stack([layer.bias for layer in layers], dim=1).flatten())


def _blocks_interleaved(weights: Tensor) -> Tensor:
    heads, width, _ = weights.shape
    large = weights.new_zeros(heads * width, heads * width)
    for head in range(heads):
        large[head::heads, head::heads] = weights[head]
    return large


class _EveryOtherFeature(nn.Module):
    """Sliced heads that read every H-th feature."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.inner = SlicedMultiHeadAttention(embed_dim, num_heads, bias=False)
        self.num_heads = num_heads

    def forward(self, x: Tensor) -> Any:
        return self.inner(x.unflatten(-1, (-1, self.num_heads)).mT.flatten(-2), need_weights=True)


@mistake(
    cause="head h takes every H-th number, where it should take D neighbours",
    symptom="shapes are right; weights from elsewhere give nonsense",
    hints=(
        "Split a tensor that counts 1, 2, 3, ... and read the numbers of head 0.",
        "Which comes first when you cut E numbers in two axes: H or D?",
        "`x.view(N, L, num_heads, head_dim)`: the heads stand before their features.",
    ),
    not_in=("looped_heads.run", "sliced_heads.module"),
)
class HeadsInterleaved(Attention):
    """Cuts E into D and H. (A whole module may do so: its weights are its own.)"""

    shows_in_values = False
    forms = {
        "looped_heads.join": (lambda outputs: torch.stack(outputs, dim=-1).flatten(2),),
        "split_heads.from_loop": (_copy_interleaved,),
        "sliced_heads.block_diagonal": (_blocks_interleaved,),
        "sliced_heads.module": (_EveryOtherFeature,),
    }

    def split(self, x: Tensor) -> Tensor:
        # (N, L, E) -> (N, L, D, H) -> (N, H, L, D)
        return x.reshape(*x.shape[:2], -1, self.num_heads).permute(0, 3, 1, 2)


@variant_of(HeadsInterleaved)
class MergeInterleaved(Attention):
    """Merges the same way."""

    shows_in_values = False

    def merge(self, x: Tensor) -> Tensor:
        # (N, H, L, D) -> (N, L, D, H) -> (N, L, E)
        return x.permute(0, 2, 3, 1).flatten(2)
