"""Deliberate bugs in the use of masks. SPECIMENS, wrong on purpose."""

import torch
from torch import Tensor

from cleanformer_lite.checks.attention import Attention


class MaskAfterSoftmax(Attention):
    """SPECIMEN: zeroes weights after they were shared out, so that rows sum to less than one."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        weights = self.softmax(scores)
        return weights if allowed is None else weights * allowed


class MaskMultiplied(Attention):
    """SPECIMEN: a masked score becomes 0, and the exponential of 0 is 1."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        return self.softmax(scores if allowed is None else scores * allowed)


class MaskInverted(Attention):
    """SPECIMEN: reads True as 'blocked', in the mask and in the causal mask made here."""

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        return super().weigh(scores, None if allowed is None else ~allowed)


class OnlyMaskInverted(Attention):
    """SPECIMEN: reads True as 'blocked' in the mask alone."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return super().allowed(scores, None if attn_mask is None else ~attn_mask, is_causal)


class MaskOnQueries(Attention):
    """SPECIMEN: blocks the rows of padding instead of the columns."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        turned = None if attn_mask is None else attn_mask.transpose(-2, -1)
        return super().allowed(scores, turned, is_causal)


class MaskRepeatOrder(Attention):
    """SPECIMEN: repeats masks as samples, samples, ... where heads, heads, ... is meant."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        if attn_mask is not None:
            wide = attn_mask.expand(scores.shape)
            attn_mask = wide.transpose(0, 1).reshape(scores.shape)
        return super().allowed(scores, attn_mask, is_causal)


class NanRows(Attention):
    """SPECIMEN: minus infinity everywhere in a row makes it not-a-number."""

    fill = "nan"


class MeanRows(Attention):
    """SPECIMEN: a query that may attend to nothing attends to everything alike."""

    fill = "mean"


class CausalMaskStrict(Attention):
    """SPECIMEN: off by one, so that no token sees itself."""

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).tril(-1)


class CausalMaskLate(Attention):
    """SPECIMEN: off by one, so that every token sees the next."""

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).tril(1)


class CausalMaskFlipped(Attention):
    """SPECIMEN: sees the future and not the past."""

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).triu()


class CausalMaskDropped(Attention):
    """SPECIMEN: takes `is_causal` and does nothing with it."""

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool)


class CausalMaskDroppedByMask(Attention):
    """SPECIMEN: forgets `is_causal` as soon as there is a mask."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return super().allowed(scores, attn_mask, is_causal and attn_mask is None)


class MaskDroppedByCausal(Attention):
    """SPECIMEN: forgets the mask as soon as `is_causal` is set."""

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        return super().allowed(scores, None if is_causal else attn_mask, is_causal)
