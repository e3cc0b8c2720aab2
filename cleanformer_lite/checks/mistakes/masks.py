"""Mistakes with masks. Wrong on purpose."""

import math

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.mistake import mistake, variant_of
from cleanformer_lite.checks.mistakes.forms import EVERY, merged_with


def _filled(scores: Tensor, attn_mask: Tensor, low: float | None = None) -> Tensor:
    """Take a softmax over scores with a low number where the mask is False."""
    low = torch.finfo(scores.dtype).min if low is None else low
    return torch.softmax(scores.masked_fill(~attn_mask, low), dim=-1)


@mistake(
    cause="weights are set to zero after the softmax has shared them out",
    symptom="rows with a mask sum to less than 1",
    thread="huggingface/pytorch-image-models#2236",
    hints=(
        "Add up a row that has a mask.",
        "Who gets the share that you took away?",
        "Fill the scores before the softmax: `scores.masked_fill(~attn_mask, low)`.",
    ),
    needs="masks",
)
class MaskAfterSoftmax(Attention):
    """Zeroes weights after they were shared out, so that rows sum to less than one."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        weights = self.softmax(scores)
        return weights if allowed is None else weights * allowed


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


@mistake(
    cause="True is read as 'blocked'; here it means 'may attend'",
    symptom="it attends to nothing but padding",
    thread="lucidrains/x-transformers#160",
    hints=(
        "Mask one of two keys. Which one gets the weight?",
        "`masked_fill` fills where its mask is True. What is True in yours?",
        "`scores.masked_fill(~attn_mask, low)`, with the `~`.",
    ),
    needs="masks",
)
class MaskInverted(Attention):
    """Reads True as 'blocked', in the mask and in the causal mask made here."""

    forms = {
        "single_head.mask": (
            lambda scores, attn_mask: _filled(scores, ~attn_mask),
            lambda scores, attn_mask: _filled(scores, ~attn_mask, -math.inf),
        ),
    }

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        allowed = super().allowed(scores, attn_mask, is_causal)
        return None if allowed is None else ~allowed


@variant_of(MaskInverted)
class OnlyMaskInverted(Attention):
    """Reads True as 'blocked' in the mask alone."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return super().allowed(scores, None if attn_mask is None else ~attn_mask, is_causal)


@mistake(
    cause="the mask blocks rows, the queries, instead of columns, the keys",
    symptom="padded keys keep their weight, and the rows of padding are strange",
    hints=(
        "Change a padded token. Which outputs move?",
        "Along which axis of `(N, H, L, S)` does your padding mask run?",
        "A padding mask is `(N, 1, 1, S)`: it blocks columns.",
    ),
    needs="masks",
)
class MaskOnQueries(Attention):
    """Blocks the rows of padding instead of the columns."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        turned = None if attn_mask is None else attn_mask.transpose(-2, -1)
        return super().allowed(scores, turned, is_causal)


@mistake(
    cause="masks are repeated sample by sample where it has to be head by head",
    symptom="right with one sample; in a batch heads use another sample's mask",
    thread="ArrowLuo/CLIP4Clip#22",
    hints=(
        "Compare a sample alone with the same sample in a batch of unequal lengths.",
        "Write down the order of `repeat` for two samples and two heads.",
        "`repeat_interleave(num_heads, dim=0)`, or let `(N, 1, 1, S)` broadcast.",
    ),
    needs="masks",
    may_differ=("per_head",),
    not_in=(
        *("single_head.mask", "single_head.attention"),
        *("fused_heads.forward", "transformer.decoder_mask"),
    ),
)
class MaskRepeatOrder(Attention):
    """Repeats masks as samples, samples, ... where heads, heads, ... is meant."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        if attn_mask is not None:
            wide = attn_mask.expand(scores.shape)
            attn_mask = wide.transpose(0, 1).reshape(scores.shape)
        return super().allowed(scores, attn_mask, is_causal)


def _nan_in_gradients_alone(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    return any(
        isinstance(value, Tensor) and bool(value.isnan().any())
        for key, value in evidence.observed.items()
        if key.startswith("gradient.blind.")
    )


@mistake(
    cause="a row in which all scores are minus infinity",
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
class NanGradients(Attention):
    """Clears the rows afterwards: the gradients have been not-a-number by then."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        if allowed is None:
            return self.softmax(scores)
        blocked = torch.zeros(allowed.shape).masked_fill(~allowed, -math.inf)
        blind = ~allowed.any(dim=-1, keepdim=True)
        return self.softmax(scores + blocked).masked_fill(blind, 0.0)


@mistake(
    cause="a row in which all scores are the same large negative number",
    symptom="a query that may attend to nothing attends to everything alike",
    hints=(
        "Let one query attend to nothing, and look at its weights.",
        "The softmax of equal numbers is 1 / S each, however small they are.",
        "After the softmax: `weights.masked_fill(~attn_mask, 0.0)`.",
    ),
    needs="masks",
)
class MeanRows(Attention):
    """A query that may attend to nothing attends to everything alike."""

    fill = "mean"


@mistake(
    cause="the causal mask is off by one, flipped, or dropped when something else is set",
    symptom="the loss is too good, or a token does not see itself",
    thread="keras-team/keras#23038",
    hints=(
        "Print the map of three tokens under `is_causal=True`. Where are the zeros?",
        "Is the diagonal allowed? What happens to `is_causal` when there is a mask too?",
        "`torch.ones(L, L, dtype=torch.bool).tril()`, and `attn_mask & causal` if there are both.",
    ),
    needs="causal",
    not_in=("single_head.mask", "single_head.attention", "transformer.padding_mask"),
)
class CausalMaskShifted(Attention):
    """Off by one, so that no token sees itself."""

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).tril(-1)


@variant_of(CausalMaskShifted)
class CausalMaskLate(Attention):
    """Off by one, so that every token sees the next."""

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).tril(1)


@variant_of(CausalMaskShifted)
class CausalMaskFlipped(Attention):
    """Sees the future and not the past."""

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).triu()


@variant_of(CausalMaskShifted)
class CausalMaskDropped(Attention):
    """Takes `is_causal` and does nothing with it."""

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool)


@variant_of(CausalMaskShifted)
class CausalMaskDroppedByMask(Attention):
    """Forgets `is_causal` as soon as there is a mask."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return super().allowed(scores, attn_mask, is_causal and attn_mask is None)


@variant_of(CausalMaskShifted)
class MaskDroppedByCausal(Attention):
    """Forgets the mask as soon as `is_causal` is set."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return super().allowed(scores, None if is_causal else attn_mask, is_causal)


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
            lambda scores, attn_mask: _filled(scores, attn_mask, -1e9).masked_fill(~attn_mask, 0.0),
            lambda scores, attn_mask: _filled(scores, attn_mask, -1e9),
        ),
    }
