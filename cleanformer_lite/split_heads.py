"""Many heads at once: project the whole vector, split the result, attend, merge, mix."""

from torch import Tensor, nn

from cleanformer_lite.inputs import check_sizes, complete_inputs
from cleanformer_lite.single_head import attend


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Give each head its own slice of the features, and its own axis before the sequence.

    Shapes: x `(N, L, E)` -> `(N, H, L, D)`, a view: no number moves in memory.

    Raises: ValueError if x does not have three axes or num_heads does not divide E.
    """
    if x.dim() != 3:
        raise ValueError(f"wanted x of shape (N, L, E), got {tuple(x.shape)}")
    batch, length, embed_dim = x.shape
    head_dim = check_sizes(embed_dim, num_heads, dropout=0.0)
    # (N, L, E) -> (N, L, H, D) -> (N, H, L, D)
    return x.view(batch, length, num_heads, head_dim).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Lay the heads side by side again: the inverse of `split_heads`.

    Shapes: x `(N, H, L, D)` -> `(N, L, E)`, a copy unless there is one head.

    Raises: ValueError if x does not have four axes.
    """
    if x.dim() != 4:
        raise ValueError(f"wanted x of shape (N, H, L, D), got {tuple(x.shape)}")
    batch, num_heads, length, head_dim = x.shape
    # (N, H, L, D) -> (N, L, H, D) -> (N, L, E)
    return x.transpose(1, 2).reshape(batch, length, num_heads * head_dim)


class SplitMultiHeadAttention(nn.Module):
    """Multi-head attention without a loop: the heads are one more axis of the same steps.

    Every head reads all of the input: each projection maps E to E first, and only its result is
    split.

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
        check_sizes(embed_dim, num_heads, dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.q_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.k_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.v_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
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
        output, weights = attend(
            split_heads(self.q_proj(query), self.num_heads),
            split_heads(self.k_proj(key), self.num_heads),
            split_heads(self.v_proj(value), self.num_heads),
            attn_mask,
            is_causal,
            self.dropout if self.training else 0.0,
        )
        output = self.out_proj(merge_heads(output))
        return (output, weights) if need_weights else output
