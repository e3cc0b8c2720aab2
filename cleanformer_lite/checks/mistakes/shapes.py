"""Mistakes in reshapes, axes and scales. Wrong on purpose."""

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.engine.attention import Attention
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.engine.references import attention
from cleanformer_lite.checks.engine.trials import TRIALS
from cleanformer_lite.checks.mistake import mistake, variant_of
from cleanformer_lite.split_heads import split_heads

# Masks that do not fit the shapes which samples and tokens exchanged make.
WITH_MASKS = (
    *("padded", "padded_changed", "padded_alone", "per_head", "blind"),
    *("causal_padded", "causal", "causal_changed"),
)


@mistake(
    cause="`view` goes straight to heads before tokens, with no transpose",
    symptom="it runs; a head's tokens are pieces of several tokens",
    thread="reczoo/FuxiCTR#30",
    hints=(
        "Split a tensor that counts 1, 2, 3, ... and follow the first token.",
        "`view` never moves a number. Which two axes have to change places?",
        "`x.view(N, L, H, D).transpose(1, 2)`.",
    ),
    not_in=("split_heads.merge", "looped_heads.join"),
)
class SplitWithoutTranspose(Attention):
    """Reshapes straight to `(N, H, L, D)`, so that heads get other tokens' features."""

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], self.num_heads, x.shape[1], -1)


@variant_of(SplitWithoutTranspose)
class SplitAndMergeWithoutTranspose(SplitWithoutTranspose):
    """The same on the way back, which puts the numbers where they came from."""

    def merge(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[2], -1)


@mistake(
    cause="`(N, H, L, D)` is reshaped to `(N, L, E)` with no transpose before",
    symptom="the loss still falls; tokens are mixed up",
    thread="jsbaan/transformer-from-scratch#4",
    hints=(
        "Merge a tensor that counts 1, 2, 3, ... and follow the first token.",
        "Before the reshape, the heads of one token must stand next to each other.",
        "`x.transpose(1, 2).reshape(N, L, H * D)`.",
    ),
)
class MergeWithoutTranspose(Attention):
    """Reshapes `(N, H, L, D)` straight to `(N, L, E)`."""

    def merge(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[2], -1)


@mistake(
    cause="one axis holds samples and heads, and is taken apart in the wrong order",
    symptom="samples are mixed; with one sample it may look right",
    thread="gazelle93/Transformer-Various-Positional-Encoding#1",
    hints=(
        "Give it a batch of two samples, then one of them alone.",
        "In which order do samples and heads stand in memory? In which order do you name them?",
        "Take the axis apart as it was put together: `(N, H, L, D)`, then transpose.",
    ),
)
class MergeMixesBatch(Attention):
    """Takes the joint axis of samples and heads for heads and samples."""

    forms = {
        "looped_heads.join": (
            lambda outputs: torch.stack(outputs).reshape(*outputs[0].shape[:2], -1),
        ),
    }

    def merge(self, x: Tensor) -> Tensor:
        batch, heads, length, _ = x.shape
        return x.reshape(heads, batch, length, -1).permute(1, 2, 0, 3).flatten(2)


@variant_of(MergeMixesBatch)
class MergeMixesBatchAndTokens(Attention):
    """The same, and then the permutation that would have been right for `(N, H)`."""

    def merge(self, x: Tensor) -> Tensor:
        batch, heads, length, _ = x.shape
        mixed = x.reshape(heads, batch, length, -1).permute(0, 2, 1, 3)
        return mixed.reshape(batch, length, -1)


def _view_does_not_fit(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    errors = [evidence.call(label, "unmasked").error for label in TRIALS]
    return any(e is not None and "view size is not compatible" in e.text for e in errors)


@variant_of(MergeMixesBatch)
class HeadsFirstViewedAway(Attention):
    """Views a buffer `(H, N, L, D)` away as `(N, L, E)`."""

    def merge(self, x: Tensor) -> Tensor:
        batch, _, length, _ = x.shape
        return x.transpose(0, 1).reshape(batch, length, -1)


@mistake(
    cause="`view` after a transpose: the numbers no longer lie in order",
    symptom="it raises, which is the good kind of failure",
    thread="facebookresearch/fairseq#2598",
    hints=(
        "Read the end of the message: it names another method.",
        "Look for `view` after `transpose` or `permute`.",
        "`reshape` copies where it has to; or `.contiguous().view(...)`.",
    ),
    tells=_view_does_not_fit,
)
class ViewNotContiguous(nn.Module):
    """`view` after a transpose, which raises: the good failure."""

    forms = {
        "split_heads.merge": (lambda x: x.transpose(1, 2).view(x.shape[0], x.shape[2], -1),),
    }

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(embed_dim, 3 * embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> tuple[Tensor, Tensor]:
        query, key, value = (split_heads(p, self.num_heads) for p in self.in_proj(x).chunk(3, -1))
        output, weights = attention(query, key, value, attn_mask)
        return self.out_proj(output.transpose(1, 2).view(x.shape)), weights


@mistake(
    cause="`(N, L, E)` is read as `(L, N, E)`",
    symptom="samples attend to each other; tokens of one sample do not",
    thread="om-ai-lab/OmDet#19",
    hints=(
        "Give it a batch of two samples, then one of them alone.",
        "Which axis does your attention run along?",
        "`nn.MultiheadAttention(..., batch_first=True)`, or exchange the axes before and after.",
    ),
    may_differ=WITH_MASKS,
)
class BatchFirstForgotten(Attention):
    """Takes `(N, L, E)` for `(L, N, E)`, so that samples attend to each other."""

    def turn(self, x: Tensor) -> Tensor:
        return x.transpose(0, 1)


@mistake(
    cause="an `einsum` has two letters of the map, or of a matrix, exchanged; equal sizes hide it",
    symptom="it runs as long as the two sizes are equal",
    thread="rasbt/LLMs-from-scratch#857",
    hints=(
        "Try queries and keys of different numbers, or change the last token alone.",
        "Read your `einsum` letters aloud: which axis is summed over, query or key?",
        "`torch.einsum('nhls,nhsd->nhld', weights, value)`: s, the keys, is summed over.",
    ),
)
class EinsumAxesSwapped(Attention):
    """Mixes the values by columns of the map: `nhsl,nhsd->nhld`."""

    def mix(self, weights: Tensor, value: Tensor) -> Tensor:
        return weights.transpose(-2, -1) @ value


@mistake(
    cause="the softmax runs along the queries, `dim=-2`",
    symptom="it runs; columns sum to 1, rows do not",
    thread="nerminnuraydogan/vision-transformer#1",
    hints=(
        "Add up the weights of one query.",
        "Which axis of your scores are the keys?",
        "`torch.softmax(scores, dim=-1)`.",
    ),
)
class SoftmaxOverQueries(Attention):
    """Columns add up to one instead of rows."""

    forms = {
        "single_head.mask": (
            lambda scores, attn_mask: torch.softmax(
                scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min), dim=-2
            ),
        ),
    }

    def softmax(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores, dim=-2)


@variant_of(SoftmaxOverQueries)
class SoftmaxOverAxisTwo(Attention):
    """Counts axes from the front: right for three, wrong for any other number."""

    def softmax(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores, dim=2)


@mistake(
    cause="the softmax runs along another axis than the keys, such as samples, or along several",
    symptom="it runs; the weights of a query sum to something else than 1",
    hints=(
        "Add up the weights of one query.",
        "Name the axes of your scores one by one. Which number does your softmax get?",
        "`torch.softmax(scores, dim=-1)`: the keys stand last.",
    ),
    not_in=("single_head.mask", "single_head.attention"),
)
class SoftmaxOverAnotherAxis(Attention):
    """Takes the softmax along the first axis."""

    def softmax(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores, dim=0)


@variant_of(SoftmaxOverAnotherAxis)
class SoftmaxOverSamplesAndHeads(Attention):
    """Takes the softmax along an axis that samples and heads share."""

    def softmax(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores.flatten(0, 1), dim=0).view(scores.shape)


@variant_of(SoftmaxOverAnotherAxis)
class SoftmaxOverQueriesAndKeys(Attention):
    """Takes one softmax of all scores of a head."""

    def softmax(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores.flatten(-2), dim=-1).view(scores.shape)


@mistake(
    cause="heads share one softmax: it runs along the heads, or along heads and keys at once",
    symptom="the weights of a query sum to 1 over all heads together, and to less in each",
    thread="facebookresearch/detr#247",
    hints=(
        "Add up the weights of one query in one head.",
        "Which axes does your softmax run along? How many of them are keys?",
        "`torch.softmax(scores, dim=-1)` on scores `(N, H, L, S)`, each head by itself.",
    ),
)
class SoftmaxOverHeads(Attention):
    """Takes the softmax along the heads."""

    def softmax(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores, dim=1)


@variant_of(SoftmaxOverHeads)
class SoftmaxOverHeadsAndKeys(Attention):
    """Takes one softmax of all heads and keys of a query."""

    def softmax(self, scores: Tensor) -> Tensor:
        # (N, H, L, S) -> (N, L, H, S) -> (N, L, H * S)
        wide = scores.transpose(1, 2)
        return torch.softmax(wide.flatten(2), dim=-1).view(wide.shape).transpose(1, 2)
