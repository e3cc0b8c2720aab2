"""Specimens as modules, for readers to break and for tests to check. Wrong on purpose."""

from torch import Tensor, nn

from cleanformer_lite.checks import specimens, specimens_masks
from cleanformer_lite.checks.attention import Attention
from cleanformer_lite.checks.reading import Projections

BEHAVIOURS: dict[str, tuple[type[Attention], ...]] = {
    "split_without_transpose": (
        specimens.SplitWithoutTranspose,
        specimens.SplitAndMergeWithoutTranspose,
    ),
    "merge_without_transpose": (specimens.MergeWithoutTranspose,),
    "merge_mixes_batch": (specimens.MergeMixesBatch, specimens.MergeMixesBatchAndTokens),
    "softmax_over_queries": (specimens.SoftmaxOverQueries,),
    "scaled_by_embed_dim": (specimens.ScaledByEmbedDim,),
    "scale_inverted": (specimens.ScaleInverted,),
    "scale_missing": (specimens.ScaleMissing,),
    "mask_after_softmax": (specimens_masks.MaskAfterSoftmax,),
    "mask_multiplied": (specimens_masks.MaskMultiplied,),
    "mask_inverted": (specimens_masks.MaskInverted, specimens_masks.OnlyMaskInverted),
    "mask_on_queries": (specimens_masks.MaskOnQueries,),
    "mask_repeat_order": (specimens_masks.MaskRepeatOrder,),
    "nan_rows": (specimens_masks.NanRows,),
    "mean_rows": (specimens_masks.MeanRows,),
    "batch_first_forgotten": (specimens.BatchFirstForgotten,),
    "value_uses_key": (specimens.ValueUsesKey,),
    "no_output_projection": (specimens.NoOutputProjection,),
    "einsum_axes_swapped": (specimens.EinsumAxesSwapped,),
    "causal_mask_shifted": (
        specimens_masks.CausalMaskStrict,
        specimens_masks.CausalMaskLate,
        specimens_masks.CausalMaskFlipped,
        specimens_masks.CausalMaskDropped,
        specimens_masks.CausalMaskDroppedByMask,
        specimens_masks.MaskDroppedByCausal,
    ),
    "dropout_in_eval": (specimens.DropoutInEval,),
    "input_changed_in_place": (specimens.InputChangedInPlace,),
}


class SpecimenModule(nn.Module):
    """Attention by four `torch.nn.Linear` layers and a behaviour, right or wrong."""

    behaviour: type[Attention] = Attention

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        if self.behaviour is not specimens.NoOutputProjection:
            self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> tuple[Tensor, Tensor]:
        attention = self.behaviour(self.projections(), self.num_heads, self.dropout)
        attention.training = self.training
        return attention(x, attn_mask, is_causal)

    def projections(self) -> Projections:
        """Return the weights as they are now."""
        q, k, v, out = self.q_proj, self.k_proj, self.v_proj, getattr(self, "out_proj", None)
        out_weight, out_bias = (None, q.bias) if out is None else (out.weight, out.bias)
        return Projections(
            q.weight, k.weight, v.weight, out_weight, q.bias, k.bias, v.bias, out_bias
        )


def specimen(behaviour: type[Attention]) -> type[SpecimenModule]:
    """Return a module class that does what a behaviour does."""
    return type(behaviour.__name__, (SpecimenModule,), {"behaviour": behaviour})
