"""The other two families: heads that read their own slice only, and heads as wide as the input."""

import torch
from torch import Tensor, nn

from cleanformer_lite.inputs import check_sizes, complete_inputs
from cleanformer_lite.looped_heads import mask_per_head, run_heads
from cleanformer_lite.single_head import SingleHeadAttention


class SlicedMultiHeadAttention(nn.Module):
    """Split first, project after: each head is a small single head on its own slice of the input.

    With `shared=True` one small head serves all slices: what is left if the small projections are
    written once and applied to every slice.

    Shapes: query `(N, L, E)`, key and value `(N, S, E)` -> output `(N, L, E)`, weights `(N, H, L,
        S)`; attn_mask boolean, True = may attend, broadcastable to `(N, H, L, S)`.

    Raises: ValueError if num_heads does not divide embed_dim, or as `scaled_dot_product_attention`
        does.

    Source: this book; its shared form is the "narrow" module of
        https://github.com/pbloem/former/issues/13
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.head_dim = check_sizes(embed_dim, num_heads, dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        heads = [
            SingleHeadAttention(self.head_dim, dropout=dropout, bias=bias)
            for _ in range(1 if shared else num_heads)
        ]
        self.heads = nn.ModuleList(heads * num_heads if shared else heads)
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
        # (N, L, E) -> H times (N, L, D)
        slices = [x.split(self.head_dim, dim=-1) for x in (query, key, value)]
        outputs, weights = [], []
        for head, mask, q, k, v in zip(self.heads, masks, *slices, strict=True):
            output, head_weights = head(
                q, k, v, attn_mask=mask, is_causal=is_causal, need_weights=True, checked=True
            )
            outputs.append(output)
            weights.append(head_weights)
        mixed = self.out_proj(torch.cat(outputs, dim=-1))  # H times (N, L, D) -> (N, L, E)
        return (mixed, torch.cat(weights, dim=1)) if need_weights else mixed


class WideMultiHeadAttention(nn.Module):
    """Every head as wide as the input: H times the weights, brought back to E by the output.

    Shapes: query `(N, L, E)`, key and value `(N, S, E)` -> output `(N, L, E)`, weights `(N, H, L,
        S)`; attn_mask boolean, True = may attend, broadcastable to `(N, H, L, S)`.

    Raises: ValueError for sizes below 1 or a dropout that is no probability, or as
        `scaled_dot_product_attention` does.

    Source: the "wide" module of https://github.com/pbloem/former
    """

    def __init__(
        self, embed_dim: int, num_heads: int, *, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        check_sizes(embed_dim * num_heads, num_heads, dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.heads = nn.ModuleList(
            SingleHeadAttention(embed_dim, dropout=dropout, bias=bias) for _ in range(num_heads)
        )
        self.out_proj = nn.Linear(num_heads * embed_dim, embed_dim, bias=bias)

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
        output = self.out_proj(concatenated)  # (N, L, H * E) -> (N, L, E)
        return output if weights is None else (output, weights)
