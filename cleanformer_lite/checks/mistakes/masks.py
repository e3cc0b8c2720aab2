"""Mistakes in which keys a mask blocks. Wrong on purpose."""

import math

from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention
from cleanformer_lite.checks.mistake import mistake, variant_of
from cleanformer_lite.checks.mistakes.forms import filled


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
            lambda scores, attn_mask: filled(scores, ~attn_mask),
            lambda scores, attn_mask: filled(scores, ~attn_mask, -math.inf),
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


@variant_of(MaskInverted)
class MaskInvertedThenZeroed(Attention):
    """Fills what is allowed, and zeroes what is blocked: nothing is left."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        if allowed is None:
            return self.softmax(scores)
        return filled(scores, ~allowed).masked_fill(~allowed, 0.0)


@variant_of(MaskInverted)
class JointMaskInverted(Attention):
    """Inverts the mask and the triangle together, and leaves the triangle alone as it is."""

    needs_causal = True
    not_in = ("single_head.mask", "single_head.attention")

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        allowed = super().allowed(scores, attn_mask, is_causal)
        return allowed if attn_mask is None or allowed is None else ~allowed


@mistake(
    cause="the mask blocks rows, the queries, instead of columns, the keys",
    symptom="padded keys keep their weight, and the rows of padding are strange",
    thread="hyunwoongko/transformer#40",
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


@variant_of(MaskRepeatOrder)
class MaskRepeatedForHeadsFirst(Attention):
    """Repeats element by element where heads stand before samples."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        if attn_mask is not None:
            heads, shape = scores.shape[1], scores.transpose(0, 1).shape
            one = attn_mask.expand(scores.shape)[:, 0]
            attn_mask = one.repeat_interleave(heads, dim=0).view(shape).transpose(0, 1)
        return super().allowed(scores, attn_mask, is_causal)


@mistake(
    cause="the mask is taken and not used: never, or not where `is_causal` is set as well",
    symptom="it runs, with a mask and without; padding is attended to",
    thread="jingyaogong/minimind-v#76",
    hints=(
        "Call it with two masks, and compare the results.",
        "Follow `attn_mask` from the signature to the scores. Where does it get lost?",
        "`scores.masked_fill(~attn_mask, low)` before the softmax, or `attn_mask=` of the kernel.",
    ),
    needs="masks",
    not_in=("transformer.padding_mask", "transformer.decoder_mask"),
)
class MaskIgnored(Attention):
    """Uses `is_causal` alone."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return super().allowed(scores, None, is_causal)


@variant_of(MaskIgnored)
class AllMasksIgnored(Attention):
    """Uses neither the mask nor `is_causal`."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return None


@variant_of(MaskIgnored)
class MaskDroppedByCausal(Attention):
    """Forgets the mask as soon as `is_causal` is set."""

    needs_causal = True
    not_in = ("single_head.mask", "single_head.attention")

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return super().allowed(scores, None if is_causal else attn_mask, is_causal)


@mistake(
    cause="the mask of the first sample, or of the first head, is used for all",
    symptom="right with one sample and one mask for all heads",
    hints=(
        "Compare a sample alone with the same sample in a batch of unequal lengths.",
        "Look for an index 0 on the mask. Which samples and heads lose theirs?",
        "Let `attn_mask` broadcast to `(N, H, L, S)`, or take head h's part: `[:, h]`.",
    ),
    needs="masks",
    not_in=(
        *("single_head.mask", "single_head.attention"),
        *("transformer.padding_mask", "transformer.decoder_mask"),
    ),
)
class MaskOfTheFirst(Attention):
    """Gives all samples the first one's mask."""

    not_in = ("fused_heads.forward",)

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        if attn_mask is not None:
            attn_mask = attn_mask.expand(scores.shape)[:1]
        return super().allowed(scores, attn_mask, is_causal)


@variant_of(MaskOfTheFirst)
class MaskOfTheFirstHead(Attention):
    """Gives all heads the first one's mask."""

    not_in = ("fused_heads.forward",)

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        if attn_mask is not None:
            attn_mask = attn_mask.expand(scores.shape)[:, :1]
        return super().allowed(scores, attn_mask, is_causal)


@mistake(
    cause="a boolean mask is added to the scores, where True counts as 1",
    symptom="masked keys keep almost all of their weight",
    thread="huggingface/transformers#41443",
    hints=(
        "Look at the weight of a masked key.",
        "How much does adding True change a score? And adding False?",
        "`scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)`: a boolean mask is "
        "filled, only a float mask of zeros and minus infinity is added.",
    ),
    needs="masks",
)
class MaskAdded(Attention):
    """Adds 1 to allowed scores."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        return self.softmax(scores if allowed is None else scores + allowed)


@variant_of(MaskAdded)
class MaskSubtracted(Attention):
    """Takes 1 from blocked scores: the same weights."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        return self.softmax(scores if allowed is None else scores + ~allowed)


@variant_of(MaskAdded)
class MaskAddedThenZeroed(Attention):
    """Clears blocked weights afterwards: their share is missing in the others."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        if allowed is None:
            return self.softmax(scores)
        return self.softmax(scores + allowed) * allowed
