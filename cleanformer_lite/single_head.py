"""One attention head: scores, softmax over the keys, a weighted mean of the values."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.inputs import check_mask, check_memory, check_sizes, complete_inputs


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    dropout: float = 0.0,
    training: bool = False,
) -> tuple[Tensor, Tensor]:
    """Let every query take the mean of the values, weighted by how well it fits their keys.

    Shapes: query `(..., L, D)`; key `(..., S, D)`; value `(..., S, V)`; attn_mask boolean, True =
        may attend, broadcastable to `(..., L, S)`. Returns output `(..., L, V)` and the weights
        that made it, `(..., L, S)`; a query that may attend to nothing gets zeros in both.

    Raises: ValueError if shapes or devices do not fit, or the mask is not boolean or not
        broadcastable.

    Source: Vaswani et al. (2017), "Attention Is All You Need", section 3.2.1.
    """
    check_memory(query, key, value)
    if attn_mask is not None:
        check_mask(attn_mask, (*query.shape[:-1], key.shape[-2]), query.device)
    return attend(query, key, value, attn_mask, is_causal, dropout if training else 0.0)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Do what `scaled_dot_product_attention` does, with inputs that were checked before.

    Shapes: as there. `dropout` is applied whenever it is not 0.
    """
    # The query is scaled, not the scores: in half precision the unscaled scores may overflow.
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1)
    blocked = blocked_scores(scores, attn_mask, is_causal)
    if blocked is None:
        weights = torch.softmax(scores, dim=-1)
    else:
        # Not -inf: a row of nothing but -inf makes softmax NaN, forward and backward.
        scores = scores.masked_fill(blocked, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, dim=-1).masked_fill(blocked, 0.0)
    if dropout:
        weights = F.dropout(weights, dropout)
    return weights @ value, weights


def blocked_scores(scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
    """Mark with True the scores that must not count, or return None if all of them do.

    Shapes: scores `(..., L, S)`; attn_mask broadcastable to that; the result too. With `is_causal`
        query i reads keys 0 to i, as in `torch.nn.functional.scaled_dot_product_attention`.
    """
    blocked = None if attn_mask is None else ~attn_mask
    if is_causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        blocked = future if blocked is None else blocked | future
    return blocked


class SingleHeadAttention(nn.Module):
    """One head: it projects the whole vector to a query, a key and a value, then attends.

    There is no output projection: a head alone has nothing to mix.

    Shapes: query `(N, L, E)`, key and value `(N, S, E)` -> output `(N, L, D)`, weights `(N, 1, L,
        S)`, where D is `head_dim`, E if not given. The head axis of 1 lets masks and weights keep
        four axes everywhere. With `checked` the inputs are not checked again: a loop over heads has
        done so, once for all of them.

    Raises: ValueError as `scaled_dot_product_attention` does, and for sizes below 1.

    Source: Vaswani et al. (2017), section 3.2.1.
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        head_dim: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(embed_dim, 1, dropout)
        self.embed_dim = embed_dim
        self.head_dim = embed_dim if head_dim is None else head_dim
        if self.head_dim < 1:
            raise ValueError(f"wanted a head_dim of at least 1, got {head_dim}")
        self.dropout = dropout
        self.q_proj = nn.Linear(embed_dim, self.head_dim, bias=bias)
        self.k_proj = nn.Linear(embed_dim, self.head_dim, bias=bias)
        self.v_proj = nn.Linear(embed_dim, self.head_dim, bias=bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        *,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        need_weights: bool = False,
        checked: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        query, key, value = complete_inputs(
            query, key, value, attn_mask, self.embed_dim, 1, checked=checked
        )
        output, weights = attend(
            self.q_proj(query).unsqueeze(1),  # (N, L, E) -> (N, 1, L, D)
            self.k_proj(key).unsqueeze(1),
            self.v_proj(value).unsqueeze(1),
            attn_mask,
            is_causal,
            self.dropout if self.training else 0.0,
        )
        output = output.squeeze(1)  # (N, 1, L, D) -> (N, L, D)
        return (output, weights) if need_weights else output
