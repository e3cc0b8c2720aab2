"""Mistakes in which axis is which. Wrong on purpose."""

import torch
from torch import Tensor

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.attention import Attention
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.mistake import mistake, variant_of


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


def _are_averaged(evidence: Evidence) -> bool:
    weights = evidence.call("large", "plain").weights
    batch, length, _ = evidence.calls["large"]["plain"].x.shape
    return isinstance(weights, Tensor) and weights.shape == (batch, length, length)


def _maps_averaged(x: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    output, maps = references.run_heads(x, *weights)
    return output, maps.mean(dim=1)


@mistake(
    cause="the maps of all heads are averaged before they are returned",
    symptom="one map `(N, L, L)` comes back, and no head can be looked at",
    hints=(
        "Which shape have your weights?",
        "How many maps do H heads make? What happened to the others?",
        "Return `(N, H, L, L)`; for `nn.MultiheadAttention` that is `average_attn_weights=False`.",
    ),
    tells=lambda evidence, failed: "weights_shape" in failed and _are_averaged(evidence),
)
class MapsAveraged:
    """Returns the mean of the maps."""

    forms = {"looped_heads.run": (_maps_averaged,)}
