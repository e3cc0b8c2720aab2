"""Mistakes in the scale of the scores. Wrong on purpose."""

import math
from functools import partial

from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention
from cleanformer_lite.checks.mistake import mistake, variant_of
from cleanformer_lite.checks.mistakes.forms import in_blocks


@mistake(
    cause="scores are divided by the root of E instead of D",
    symptom="none to be seen: maps are a little too flat with more than one head",
    thread="karpathy/ng-video-lecture#6",
    hints=(
        "How large are your scores on average? How large should they be?",
        "How many numbers does one product of query and key sum up?",
        "Divide by `head_dim ** 0.5`, or by `query.shape[-1] ** 0.5` after the split.",
    ),
    not_in=("single_head.scores", "single_head.attention"),
)
class ScaledByEmbedDim(Attention):
    """Divides by the root of E where D belongs."""

    def scale(self, query: Tensor) -> float:
        return 1.0 / math.sqrt(query.shape[-1] * self.num_heads)


@mistake(
    cause="scores are multiplied by the root of D",
    symptom="the softmax is nearly all or nothing, and its gradient nearly zero",
    thread="esceptico/perceiver-io#9",
    hints=(
        "Look at one row of weights. Is one of them almost 1?",
        "Is your scale a root or one over a root? Do you multiply or divide by it?",
        "`scores / D ** 0.5`, or `scores * D ** -0.5`.",
    ),
)
class ScaleInverted(Attention):
    """Multiplies by the root of D."""

    def scale(self, query: Tensor) -> float:
        return math.sqrt(query.shape[-1])


@mistake(
    cause="scores are not scaled at all",
    symptom="the larger D, the closer the softmax gets to all or nothing",
    thread="PAIR-code/tiny-transformers#71",
    hints=(
        "Compare your scores for D = 1 and D = 4.",
        "The paper calls it scaled dot-product attention. Where do you scale?",
        "`query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5`.",
    ),
)
class ScaleMissing(Attention):
    """Does not scale."""

    forms = {"fused_heads.blocked": (partial(in_blocks, scale=False),)}

    def scale(self, query: Tensor) -> float:
        return 1.0


@mistake(
    cause="scores are divided by D, not by its root: the root is missing, or the scale comes twice",
    symptom="none to be seen: maps are flatter, the more so the larger D",
    thread="delzac/cntkx#10",
    hints=(
        "Compute one score for D = 4 by hand. By which number is yours divided?",
        "Where do you take a root? Is there a scale before the product and another one after it?",
        "`query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5`, and no other factor.",
    ),
)
class ScaleWithoutRoot(Attention):
    """Divides by D."""

    def scale(self, query: Tensor) -> float:
        return 1.0 / query.shape[-1]


@mistake(
    cause="the scale is applied twice, before the product of query and key and after it",
    symptom="none to be seen: scores are divided by D, as if the root were missing",
    not_in=(
        *("single_head.scores", "single_head.attention"),
        *("looped_heads.run", "fused_heads.forward", "sliced_heads.module"),
    ),
    hints=(
        "Follow one score by hand: by which numbers is it divided on its way?",
        "Is there a scale before the product of query and key, and another one after it?",
        "Keep one of the two: `query * D ** -0.5` before, or `scores / D ** 0.5` after.",
    ),
)
class ScaledTwice(Attention):
    """Divides by the root of D twice: to a check the same as `scale_without_root`."""

    shows_in_values = False

    def scale(self, query: Tensor) -> float:
        return 1.0 / query.shape[-1]


@mistake(
    cause="scores are divided by the root of the number of heads, or of keys, in place of D",
    symptom="none to be seen: maps are too flat or too steep, and another size changes that",
    thread="tenstorrent/tt-metal#56789",
    hints=(
        "Compute one score by hand. By which number is yours divided?",
        "How many numbers does one product of query and key sum up? Which size is that?",
        "Divide by `query.shape[-1] ** 0.5`, after the split.",
    ),
)
class ScaledByAnotherSize(Attention):
    """Divides by the root of H where D belongs."""

    not_in = ("single_head.scores", "single_head.attention")

    def scale(self, query: Tensor) -> float:
        return 1.0 / math.sqrt(self.num_heads)


@variant_of(ScaledByAnotherSize)
class ScaledByKeys(Attention):
    """Divides by the root of the number of keys."""

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        return query @ key.transpose(-2, -1) / math.sqrt(key.shape[-2])


@mistake(
    cause="the scale is applied to the weights, after the softmax, in place of the scores",
    symptom="rows sum to 1 over the root of D, and the softmax is too steep",
    thread="FrancescoSaverioZuppichini/ViT#2",
    hints=(
        "Add up the weights of one query.",
        "Does your scale stand inside the softmax or behind it?",
        "`torch.softmax(scores / D ** 0.5, dim=-1)`.",
    ),
    not_in=("single_head.scores", "single_head.mask", "single_head.attention"),
)
class ScaleAfterSoftmax(Attention):
    """Divides the weights by the root of D."""

    def scale(self, query: Tensor) -> float:
        return 1.0

    def softmax(self, scores: Tensor) -> Tensor:
        head_dim = self.projections.query.shape[0] // self.num_heads
        return super().softmax(scores) / math.sqrt(head_dim)
