"""Mistakes in the triangle of a causal mask. Wrong on purpose."""

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention
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
