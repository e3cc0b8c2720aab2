"""Two specimens that never learn: heads that `torch.nn.Module` cannot see. Deliberately wrong."""

from torch import Tensor, nn

from cleanformer_lite.inputs import check_sizes, complete_inputs
from cleanformer_lite.looped_heads import mask_per_head, run_heads
from cleanformer_lite.single_head import SingleHeadAttention


class HeadsBuiltInForward(nn.Module):
    """SPECIMEN, wrong on purpose: every call builds new heads with new random weights.

    The shapes are right and the output projection learns. No head is a parameter of the module,
    none is in its `state_dict`, and two calls disagree. Shapes and errors as in
    `LoopedMultiHeadAttention`.

    Source: retold from https://github.com/eubinecto/the-clean-transformer/issues/13
    """

    def __init__(
        self, embed_dim: int, num_heads: int, *, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        self.head_dim = check_sizes(embed_dim, num_heads, dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.bias = bias
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
        heads = [  # The bug: these live for one call.
            SingleHeadAttention(
                self.embed_dim, head_dim=self.head_dim, dropout=self.dropout, bias=self.bias
            ).train(self.training)
            for _ in range(self.num_heads)
        ]
        masks = mask_per_head(attn_mask, query, key, self.num_heads)
        concatenated, weights = run_heads(heads, query, key, value, masks, is_causal, need_weights)
        output = self.out_proj(concatenated)
        return output if weights is None else (output, weights)


class HeadsInPlainList(nn.Module):
    """SPECIMEN, wrong on purpose: the heads live in a Python list, where nobody looks for them.

    Two calls agree and gradients reach the heads, yet no optimizer is told of them, `state_dict`
    leaves them out and `.to` leaves them behind. Shapes and errors as in
    `LoopedMultiHeadAttention`.

    Source: the same mistake as in https://github.com/pytorch/pytorch/issues/715
    """

    def __init__(
        self, embed_dim: int, num_heads: int, *, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        head_dim = check_sizes(embed_dim, num_heads, dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.heads = [  # The bug: a list is no nn.ModuleList.
            SingleHeadAttention(embed_dim, head_dim=head_dim, dropout=dropout, bias=bias)
            for _ in range(num_heads)
        ]
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
