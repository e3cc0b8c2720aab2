"""Mistakes in the triangle of a causal mask. Wrong on purpose."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cleanformer_lite.checks.engine.attention import Attention
from cleanformer_lite.checks.engine.references import split_projection
from cleanformer_lite.checks.mistake import mistake, variant_of


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
class CausalMaskInverted(Attention):
    """Takes the blocked triangle for the allowed one: sees the future alone."""

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).triu(1)


@variant_of(CausalMaskShifted)
class CausalMaskWithMaskOnly(Attention):
    """Uses `is_causal` only where there is a mask as well."""

    not_in = ("transformer.decoder_mask",)

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return super().allowed(scores, attn_mask, is_causal and attn_mask is not None)


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


@mistake(
    cause="two masks are joined by `or`, where both have to allow a key",
    symptom="with a padding mask and `is_causal` together, the future or padding is seen",
    hints=(
        "Print the mask that you use where both are given.",
        "A key may be attended to if the one mask allows it *and* the other does.",
        "`attn_mask & causal`.",
    ),
    needs="causal",
    not_in=("single_head.mask", "single_head.attention", "transformer.padding_mask"),
)
class MasksJoinedByOr(Attention):
    """Allows what either mask allows."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        if attn_mask is None or not is_causal:
            return super().allowed(scores, attn_mask, is_causal)
        return attn_mask | self.causal(scores.shape[-1])


def _both_to_the_kernel(
    x: Tensor, in_weight: Tensor, out_weight: Tensor, num_heads: int,
    attn_mask: Tensor | None = None, is_causal: bool = False, dropout: float = 0.0,
    training: bool = False,
) -> Tensor:  # fmt: skip
    query, key, value = split_projection(F.linear(x, in_weight), num_heads)
    output = F.scaled_dot_product_attention(
        query, key, value, attn_mask=attn_mask, is_causal=is_causal,
        dropout_p=dropout if training else 0.0,
    )  # fmt: skip
    return F.linear(output.transpose(1, 2).flatten(2), out_weight)


@mistake(
    cause="`attn_mask` and `is_causal=True` are both handed to PyTorch's kernel",
    symptom="it raises, or on some devices one of the two is dropped without a word",
    thread="jingyaogong/minimind#382",
    hints=(
        "Call it with a mask and `is_causal=True` together.",
        "Read what `F.scaled_dot_product_attention` says of the two arguments.",
        "Make the triangle yourself where there is a mask: `attn_mask & causal`, and hand over "
        "`is_causal=False`.",
    ),
    needs="causal",
)
class MaskAndIsCausal:
    """Leaves the kernel to put both together."""

    forms = {"fused_heads.forward": (_both_to_the_kernel,)}
