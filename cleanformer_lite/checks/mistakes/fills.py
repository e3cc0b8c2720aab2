"""Mistakes in what blocked scores are filled with. Wrong on purpose."""

import math
from functools import partial

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.engine.trials import LARGE
from cleanformer_lite.checks.mistake import mistake, variant_of
from cleanformer_lite.checks.mistakes.forms import EVERY, filled, merged_with


@mistake(
    cause="scores are multiplied by the mask, and the exponential of 0 is 1",
    symptom="masked keys keep some weight",
    thread="georg-wolflein/good-features#1",
    hints=(
        "Look at the weight of a masked key.",
        "What does the softmax make of a score of 0?",
        "`scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)`.",
    ),
    needs="masks",
)
class MaskMultiplied(Attention):
    """A masked score becomes 0, and the exponential of 0 is 1."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        return self.softmax(scores if allowed is None else scores * allowed)


@variant_of(MaskMultiplied)
class MaskMultipliedThenZeroed(Attention):
    """Clears blocked weights afterwards: their share is missing in the others."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        if allowed is None:
            return self.softmax(scores)
        return self.softmax(scores * allowed) * allowed


def _nan_in_gradients_alone(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    gradients = evidence.observed.gradients.blind
    return any(gradient is not None and bool(gradient.isnan().any()) for gradient in gradients)


@mistake(
    cause="where a query may attend to nothing, 0 is divided by 0: all scores are minus infinity, "
    "or a sum of weights is 0",
    symptom="not-a-number in its output or gradients, and after a step everywhere",
    thread="pytorch/pytorch#41508",
    hints=(
        "Let one query attend to nothing, and look at its weights and gradients.",
        "What is 0 divided by 0? What is the softmax of a row of minus infinities?",
        "Fill with `torch.finfo(scores.dtype).min`, and after the softmax "
        "`masked_fill(~attn_mask, 0.0)`.",
    ),
    needs="masks",
    tells=_nan_in_gradients_alone,
    explains=frozenset({"finite_on_blind_rows"}),
)
class NanRows(Attention):
    """Minus infinity everywhere in a row makes it not-a-number."""

    forms = {
        "single_head.mask": (
            lambda scores, attn_mask: torch.softmax(
                scores + torch.zeros_like(scores).masked_fill(~attn_mask, -math.inf), dim=-1
            ).nan_to_num(),
        ),
        "fused_heads.merge": (merged_with(*EVERY, guarded=False),),
    }

    fill = "nan"


@variant_of(NanRows)
class RenormalizedToNothing(Attention):
    """Zeroes weights after the softmax and divides by what is left: 0 by 0 in blind rows."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        weights = self.softmax(scores) * (1.0 if allowed is None else allowed)
        return weights / weights.sum(dim=-1, keepdim=True)


@variant_of(NanRows)
class NanGradients(Attention):
    """Clears the rows afterwards: the gradients have been not-a-number by then."""

    shows_in_values = False

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        if allowed is None:
            return self.softmax(scores)
        blocked = torch.zeros(allowed.shape).masked_fill(~allowed, -math.inf)
        blind = ~allowed.any(dim=-1, keepdim=True)
        return self.softmax(scores + blocked).masked_fill(blind, 0.0)


def _low_number_added(scores: Tensor, attn_mask: Tensor, low: float) -> Tensor:
    """Add a low number to blocked scores: a row of nothing else keeps its differences."""
    return torch.softmax(scores + (1 - attn_mask.to(scores.dtype)) * low, dim=-1)


@mistake(
    cause="a row in which all scores are the same large negative number",
    symptom="a query that may attend to nothing attends to everything alike",
    thread="lsdefine/attention-is-all-you-need-keras#16",
    hints=(
        "Let one query attend to nothing, and look at its weights.",
        "The softmax of equal numbers is 1 / S each, however small they are.",
        "After the softmax: `weights.masked_fill(~attn_mask, 0.0)`.",
    ),
    needs="masks",
)
class MeanRows(Attention):
    """A query that may attend to nothing attends to everything alike."""

    forms = {
        "single_head.mask": tuple(
            partial(_low_number_added, low=low) for low in (-1e4, -3e4, -6e4)
        ),
    }

    fill = "mean"


def _filled_and_zeroed(scores: Tensor, attn_mask: Tensor, low: float) -> Tensor:
    return filled(scores, attn_mask, low).masked_fill(~attn_mask, 0.0)


OF_FILLS = frozenset(
    {
        *("masked_keys_get_nothing", "padding_invariance", "causality", "masks_combine"),
        *("finite_on_blind_rows", "equal_to_torch", "rows_sum_to_one"),
    }
)
VISIBLE = 1e-30


def _weak_fill(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    """Say whether all blocked scores are one low number, or lower by one number than they were."""
    if not evidence.contract.weights:
        return False
    for comparison in evidence.comparisons:
        right = Attention(comparison.reading, LARGE.num_heads)
        if comparison.reading.is_whole and comparison.same(right, "unmasked"):
            for name in ("padded", "loud"):
                call = evidence.calls["large"][name]
                query, key, _ = right.parts(call.x)
                scores, weights = right.scores(query, key), evidence.weights("large", name)
                if call.attn_mask is not None and any(
                    len(found) > 2 and found.std() < 0.02 and float(found.mean()) < LEAST_FILL
                    for found in _fills(scores, weights, call.attn_mask.expand(scores.shape))
                ):
                    return True
    return False


def _fills(scores: Tensor, weights: Tensor, allowed: Tensor) -> list[Tensor]:
    """Compute what blocked scores were filled with, what was added to them, or what they took.

    The logarithm of a weight is its score and a number that its row shares. Where blocked weights
    were cleared, what they took is missing in the sum of the row.
    """
    seen = (weights > VISIBLE) & ~allowed
    best = scores.masked_fill(~allowed, -math.inf).argmax(dim=-1, keepdim=True)
    shared = weights.gather(-1, best).log() - scores.gather(-1, best)  # (N, H, L, 1)
    filled = (weights.log() - shared)[seen]
    total = weights.sum(dim=-1)
    powers = scores.masked_fill(~allowed, -math.inf).logsumexp(dim=-1)
    taken = powers + ((1 - total) / total / (~allowed).sum(dim=-1)).log()
    return [filled, filled - scores[seen], taken[(total > 1e-5) & (total < 1 - 1e-5)]]


# Taking 1 from blocked scores is the mistake of adding a boolean mask.
LEAST_FILL = -1.5


@mistake(
    cause="blocked scores get a number that is not low enough, such as -10",
    symptom="masked keys keep a little weight, more of it the lower the other scores are",
    thread="Shujun-He/RibonanzaNet#5",
    hints=(
        "Let one allowed score be as low as your fill, and look at the weights.",
        "How much weight does your fill leave? Compare it with the lowest score there can be.",
        "`torch.finfo(scores.dtype).min`: no score is lower.",
    ),
    needs="masks",
    tells=_weak_fill,
    explains=OF_FILLS,
)
class FillTooWeak(Attention):
    """Fills with -10."""

    forms = {
        "single_head.mask": tuple(
            partial(_filled_and_zeroed, low=low) for low in (-15.0, -16.0, -20.0, -25.0)
        ),
    }

    low = -10.0

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        blocked = torch.zeros(()) if allowed is None else ~allowed
        return self.softmax(scores.masked_fill(blocked.bool(), self.low))


@variant_of(FillTooWeak)
class AddedTooWeak(Attention):
    """Adds -10 to blocked scores."""

    low = -10.0

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        return self.softmax(scores if allowed is None else scores + self.low * ~allowed)


@variant_of(FillTooWeak)
class FillTooWeakThenZeroed(FillTooWeak):
    """Clears blocked weights afterwards: their share is missing in the others."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        weights = super().weigh(scores, allowed)
        return weights if allowed is None else weights.masked_fill(~allowed, 0.0)


def _other_numbers() -> None:
    """Enter the same with other numbers, for exercises in which nothing else can be looked at."""
    for low in (-2, -3, -5, -8, -12, -15, -16, -20, -25):
        for kind in (FillTooWeak, AddedTooWeak, FillTooWeakThenZeroed):
            if kind is FillTooWeakThenZeroed and low < -12:
                continue  # too little is missing to be seen in a module
            changed = {"low": float(low), "shows_in_values": False}
            variant_of(FillTooWeak)(type(f"{kind.__name__}By{-low}", (kind,), changed))


_other_numbers()


@mistake(
    cause="a fill such as -1e9 does not fit in `float16`",
    symptom="it raises in half precision",
    thread="NVIDIA/apex#1052",
    hints=(
        "Try `torch.finfo(torch.float16).min`.",
        "Look at the number that you fill in.",
        "`torch.finfo(scores.dtype).min` fits the scores, whatever their dtype.",
    ),
)
class HalfOverflow:
    """A fill that `float16` cannot hold."""

    forms = {
        "single_head.mask": (
            lambda scores, attn_mask: filled(scores, attn_mask, -1e9).masked_fill(~attn_mask, 0.0),
            lambda scores, attn_mask: filled(scores, attn_mask, -1e9),
        ),
    }
