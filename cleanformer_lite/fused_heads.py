"""One projection for query, key and value, and one kernel that never holds all the weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.inputs import check_sizes, complete_inputs
from cleanformer_lite.single_head import attend
from cleanformer_lite.split_heads import merge_heads, split_heads


class FusedMultiHeadAttention(nn.Module):
    """Split heads in fewer launches: one product makes q, k and v, one kernel attends.

    The kernel keeps no weights, so `need_weights=True` takes the written-out steps instead, to the
    same result.

    Shapes: query `(N, L, E)`, key and value `(N, S, E)` -> output `(N, L, E)`, weights `(N, H, L,
        S)`; attn_mask boolean, True = may attend, broadcastable to `(N, H, L, S)`.

    Raises: ValueError if num_heads does not divide embed_dim, or as `scaled_dot_product_attention`
        does.

    Source: Dao et al. (2022), "FlashAttention", for the kernel.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, *, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        check_sizes(embed_dim, num_heads, dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj = nn.Linear(embed_dim, 3 * embed_dim, bias=bias)
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
        q, k, v = (split_heads(x, self.num_heads) for x in self.project(query, key, value))
        # The kernel knows nothing of train and eval: whatever dropout it is given, it does.
        dropout = self.dropout if self.training else 0.0
        if need_weights:
            output, weights = attend(q, k, v, attn_mask, is_causal, dropout)
            return self.out_proj(merge_heads(output)), weights
        output = fused_attention(q, k, v, attn_mask=attn_mask, is_causal=is_causal, dropout=dropout)
        mixed: Tensor = self.out_proj(merge_heads(output))
        return mixed

    def project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Make q, k and v: in one product for self-attention, in three otherwise.

        Shapes: query `(N, L, E)`, key and value `(N, S, E)` -> the same three shapes.
        """
        if query is key is value:
            # (N, L, E) -> (N, L, 3E) -> 3 times (N, L, E)
            return tuple(self.in_proj(query).chunk(3, dim=-1))
        weights = self.in_proj.weight.chunk(3)  # (3E, E) -> 3 times (E, E)
        biases = (None,) * 3 if self.in_proj.bias is None else self.in_proj.bias.chunk(3)
        pieces = zip((query, key, value), weights, biases, strict=True)
        return tuple(F.linear(x, weight, bias) for x, weight, bias in pieces)


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Attend by PyTorch's own kernel, with the masks and the zeros of the written-out steps.

    The inputs were checked before.

    Shapes: query `(N, H, L, D)`; key and value `(N, H, S, D)`; attn_mask boolean, True = may
        attend, broadcastable to `(N, H, L, S)` -> output `(N, H, L, D)`.
    """
    if attn_mask is None:
        return F.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=is_causal
        )
    shape = (*query.shape[:-1], key.shape[-2])
    allowed = attn_mask
    if is_causal:  # the kernel takes a mask or is_causal, not both
        past = torch.ones(shape[-2:], dtype=torch.bool, device=query.device).tril()
        allowed = allowed & past
    # Not every backend gives zeros where nothing may be read: let it read all, then drop that.
    nothing = ~allowed.any(dim=-1, keepdim=True)
    allowed = (allowed | nothing).expand(shape)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropout)
    return output.masked_fill(nothing, 0.0)
