"""Many heads, one after the other: a loop over single heads, side by side, then mixed."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from cleanformer_lite.inputs import check_sizes, complete_inputs
from cleanformer_lite.single_head import SingleHeadAttention


class LoopedMultiHeadAttention(nn.Module):
    """Multi-head attention as the paper words it: run each head on all input, concatenate, mix.

    Shapes: query `(N, L, E)`, key and value `(N, S, E)` -> output `(N, L, E)`, weights `(N, H, L,
        S)`; attn_mask boolean, True = may attend, broadcastable to `(N, H, L, S)`.

    Raises: ValueError if num_heads does not divide embed_dim, or as `scaled_dot_product_attention`
        does.

    Source: Vaswani et al. (2017), section 3.2.2.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, *, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        head_dim = check_sizes(embed_dim, num_heads, dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.heads = nn.ModuleList(
            SingleHeadAttention(embed_dim, head_dim=head_dim, dropout=dropout, bias=bias)
            for _ in range(num_heads)
        )
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        *,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        need_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        query, key, value = complete_inputs(
            query, key, value, attn_mask, self.embed_dim, self.num_heads
        )
        masks = mask_per_head(attn_mask, query, key, self.num_heads)
        concatenated, weights = run_heads(
            self.heads, query, key, value, masks, is_causal, need_weights
        )
        output = self.out_proj(concatenated)
        return output if weights is None else (output, weights)


def run_heads(
    heads: Iterable[nn.Module],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    masks: Iterable[Tensor | None],
    is_causal: bool,
    need_weights: bool,
) -> tuple[Tensor, Tensor | None]:
    """Run the heads one by one, each with its own mask, and lay their outputs side by side.

    The inputs were checked before.

    Shapes: query `(N, L, E)`, key and value `(N, S, E)` -> `(N, L, H * D)`, and weights `(N, H, L,
        S)` or, unless `need_weights`, None: then only one head's weights are in memory at a time.
    """
    outputs, weights = [], []
    for head, mask in zip(heads, masks, strict=True):
        result = head(
            query, key, value, attn_mask=mask,
            is_causal=is_causal, need_weights=need_weights, checked=True,
        )  # fmt: skip
        if need_weights:
            result, head_weights = result
            weights.append(head_weights)
        outputs.append(result)
    concatenated = torch.cat(outputs, dim=-1)  # H times (N, L, D) -> (N, L, H * D)
    return concatenated, torch.cat(weights, dim=1) if need_weights else None


def mask_per_head(
    attn_mask: Tensor | None, query: Tensor, key: Tensor, num_heads: int
) -> list[Tensor | None]:
    """Cut a mask for all heads into one mask a head.

    Shapes: attn_mask broadcastable to `(N, H, L, S)` -> H masks `(N, 1, L, S)`, or H times None.
    """
    if attn_mask is None:
        return [None] * num_heads
    shape = (query.shape[0], num_heads, query.shape[1], key.shape[1])
    return list(
        torch.split(attn_mask.expand(shape), 1, dim=1)
    )  # (N, H, L, S) -> H times (N, 1, L, S)
