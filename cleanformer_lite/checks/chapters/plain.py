"""Plain answers that judge others, written with loops over numbers, and SPECIMENS beside them."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Mistakes = dict[str, tuple[Callable[..., Any], ...]]


def mask(rows: list[list[int]]) -> Tensor:
    """Make a mask of rows of 0 and 1."""
    return torch.tensor(rows, dtype=torch.bool)


def scores(query: Tensor, key: Tensor) -> Tensor:
    """Take every product by itself."""
    products = torch.sum(query.unsqueeze(-2) * key.unsqueeze(-3), dim=-1)
    return products / math.sqrt(query.shape[-1])


def masked_softmax(scores: Tensor, attn_mask: Tensor) -> Tensor:
    """Divide exponentials of allowed scores by their sum; a sum of nothing counts as one."""
    shifted = scores.float() - scores.float().amax(dim=-1, keepdim=True)
    shares = torch.exp(shifted) * attn_mask
    total = shares.sum(dim=-1, keepdim=True)
    return (shares / torch.where(total == 0, torch.ones_like(total), total)).to(scores.dtype)


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Put the two together."""
    fit = scores(query, key)
    everything = torch.ones(fit.shape[-2:], dtype=torch.bool)
    weights = masked_softmax(fit, everything if attn_mask is None else attn_mask)
    return torch.sum(weights.unsqueeze(-1) * value.unsqueeze(-3), dim=-2), weights


def filled(scores: Tensor, attn_mask: Tensor, low: float | None = None) -> Tensor:
    """Take a softmax over scores with a low number where the mask is False."""
    low = torch.finfo(scores.dtype).min if low is None else low
    return torch.softmax(scores.masked_fill(~attn_mask, low), dim=-1)


MASK_MISTAKES: Mistakes = {
    "softmax_over_queries": tuple(
        lambda scores, attn_mask, clear=clear: torch.softmax(
            scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min), dim=-2
        ).masked_fill(~attn_mask if clear else torch.zeros_like(attn_mask), 0.0)
        for clear in (True, False)
    ),
    "mask_after_softmax": (lambda scores, attn_mask: torch.softmax(scores, dim=-1) * attn_mask,),
    "mask_multiplied": (lambda scores, attn_mask: torch.softmax(scores * attn_mask, dim=-1),),
    "mask_inverted": (
        lambda scores, attn_mask: filled(scores, ~attn_mask),
        lambda scores, attn_mask: filled(scores, ~attn_mask, -math.inf),
        lambda scores, attn_mask: filled(scores, ~attn_mask).masked_fill(attn_mask, 0.0),
    ),
    "nan_rows": (
        lambda scores, attn_mask: filled(scores, attn_mask, -math.inf),
        lambda scores, attn_mask: torch.softmax(
            scores + torch.zeros_like(scores).masked_fill(~attn_mask, -math.inf), dim=-1
        ).nan_to_num(),
    ),
    "mean_rows": (filled,),
    "half_overflow": (
        lambda scores, attn_mask: filled(scores, attn_mask, -1e9).masked_fill(~attn_mask, 0.0),
        lambda scores, attn_mask: filled(scores, attn_mask, -1e9),
    ),
}


def wrong_attention(weigh: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    """SPECIMEN: attention with a mask handled wrongly."""

    def attend(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        fit = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        weights = torch.softmax(fit, dim=-1) if attn_mask is None else weigh(fit, attn_mask)
        return weights @ value, weights

    return attend


def rescaled(factor: Callable[[int], float], dim: int = -1) -> Callable[..., Any]:
    """SPECIMEN: attention with another scale, or a softmax along another axis."""

    def attend(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        fit = query @ key.transpose(-2, -1) * factor(query.shape[-1])
        if attn_mask is None:
            weights = torch.softmax(fit, dim=dim)
        else:
            low = torch.finfo(fit.dtype).min
            weights = torch.softmax(fit.masked_fill(~attn_mask, low), dim=dim)
            weights = weights.masked_fill(~attn_mask, 0.0)
        return weights @ value, weights

    return attend


def columns_mixed(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """SPECIMEN: the values are mixed by columns of the map."""
    _, weights = attention(query, key, value, attn_mask)
    return weights.transpose(-2, -1) @ value, weights


def key_as_value(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """SPECIMEN: the keys are mixed, and the values never used."""
    return attention(query, key, key, attn_mask)


ATTENTION_MISTAKES: Mistakes = {
    "scale_missing": (rescaled(lambda width: 1.0),),
    "scale_inverted": (rescaled(lambda width: width**0.5),),
    "softmax_over_queries": (rescaled(lambda width: width**-0.5, dim=-2),),
    "einsum_axes_swapped": (columns_mixed,),
    "value_uses_key": (key_as_value,),
    **{
        species: tuple(wrong_attention(weigh) for weigh in variants)
        for species, variants in MASK_MISTAKES.items()
        if species not in ("softmax_over_queries", "half_overflow")
    },
}
