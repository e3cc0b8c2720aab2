"""Mistakes of sliced heads, and of one product for query, key and value. Wrong on purpose."""

from collections.abc import Callable

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.references import features_read, with_weights
from cleanformer_lite.checks.mistake import mistake
from cleanformer_lite.checks.mistakes.forms import forward_with
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.split_heads import SplitMultiHeadAttention


def _change_every_token(x: Tensor, feature: int) -> Tensor:
    """Change a feature of every token by the same amount."""
    copy = x.clone()
    copy[..., feature] += 1.0
    return copy


def _cut(shape: str, order: tuple[int, ...]) -> Callable[[Tensor, int], tuple[Tensor, ...]]:
    """Cut the last axis in another order; `shape` names its parts, 3, H and D."""

    def split(projected: Tensor, num_heads: int) -> tuple[Tensor, ...]:
        width = projected.shape[-1] // 3 // num_heads
        sizes = [{"3": 3, "H": num_heads, "D": width}[letter] for letter in shape]
        return projected.view(*projected.shape[:2], *sizes).permute(order).unbind(0)

    return split


INTERLEAVED = (
    _cut("H3D", (3, 0, 2, 1, 4)),
    _cut("HD3", (4, 0, 2, 1, 3)),
    _cut("DH3", (4, 0, 3, 1, 2)),
)


@mistake(
    cause="the input is projected as a whole, and the result is cut into heads",
    symptom="every head reads every feature: these are split heads, not sliced ones",
    hints=(
        "Change one input feature. Which heads notice?",
        "What comes first in your code, the cut or the projection?",
        "Cut x into H parts of D features, then project each part with matrices of D to D.",
    ),
)
class ProjectedBeforeSplit:
    """Split heads, where sliced ones are asked for."""

    forms = {
        "sliced_heads.module": (
            with_weights(SplitMultiHeadAttention),
            with_weights(LoopedMultiHeadAttention),
        ),
    }


@mistake(
    cause="a matrix is laid down as (in, out), where `nn.Linear` keeps (out, in)",
    symptom="it runs, because the matrix is square; the numbers are others",
    hints=(
        "Try a matrix with one number that is not zero. In which row is it afterwards?",
        "Which axis of `nn.Linear(...).weight` are the outputs?",
        "Leave out the transpose: rows are outputs, in `weights[h]` and in the result.",
    ),
)
class LinearTransposed:
    """Lays a matrix down as (in, out)."""

    forms = {
        "sliced_heads.block_diagonal": (
            lambda weights: torch.block_diag(*weights.transpose(1, 2)),
        ),
        "fused_heads.forward": (forward_with(turned=True),),
    }


@mistake(
    cause="the gradient is taken of a sum of whole rows, and each of them sums to 1",
    symptom="every gradient is zero, so no feature seems to be read",
    hints=(
        "Add up one row of a map, before and after a change of x.",
        "Of which number do you take the gradient? Can it change at all?",
        "Give each weight another factor before you sum, or take the whole Jacobian.",
    ),
)
class GradientOfAConstant:
    """Changes nothing."""

    forms = {
        "sliced_heads.reads": (lambda maps_of, x: features_read(maps_of, x, lambda x, _: x),),
    }


@mistake(
    cause="the same amount is added to a feature in every token at once",
    symptom="features that only the keys read are missed: the softmax does not see a shift",
    hints=(
        "Add 3 to every score of a row, and take the softmax again.",
        "Which tokens do you change? What do the keys of all of them have in common then?",
        "Change the feature in one token, or by another amount in each.",
    ),
)
class NudgeCancels:
    """Changes every token by the same amount."""

    forms = {
        "sliced_heads.reads": (lambda maps_of, x: features_read(maps_of, x, _change_every_token),),
    }


@mistake(
    cause="the joint projection is cut head by head, or number by number, instead of in thirds",
    symptom="shapes are right and it trains; weights from elsewhere give nonsense",
    thread="awslabs/slapo#46",
    hints=(
        "Let the projection count 1, 2, 3, ... and write down what should be query.",
        "Which axis comes first when you cut 3E numbers: the three parts, or the heads?",
        "`query, key, value = projected.chunk(3, dim=-1)`, and then split each into heads.",
    ),
)
class QkvInterleaved:
    """Cuts head by head, or number by number."""

    forms = {
        "fused_heads.thirds": INTERLEAVED,
        "fused_heads.forward": tuple(forward_with(cut) for cut in INTERLEAVED),
    }
