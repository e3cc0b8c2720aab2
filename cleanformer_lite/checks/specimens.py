"""Deliberate bugs: mistakes that replace one step of the right attention each.

SPECIMENS, wrong on purpose. They work on given projections, so that a mistake can be run with the
weights of somebody's answer.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from cleanformer_lite.checks.attention import Attention


class SplitWithoutTranspose(Attention):
    """SPECIMEN: reshapes straight to `(N, H, L, D)`, so that heads get other tokens' features."""

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], self.num_heads, x.shape[1], -1)


class SplitAndMergeWithoutTranspose(SplitWithoutTranspose):
    """SPECIMEN: the same on the way back, which puts the numbers where they came from."""

    def merge(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[2], -1)


class MergeWithoutTranspose(Attention):
    """SPECIMEN: reshapes `(N, H, L, D)` straight to `(N, L, E)`."""

    def merge(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[2], -1)


class MergeMixesBatch(Attention):
    """SPECIMEN: takes the joint axis of samples and heads for heads and samples."""

    def merge(self, x: Tensor) -> Tensor:
        batch, heads, length, _ = x.shape
        return x.reshape(heads, batch, length, -1).permute(1, 2, 0, 3).flatten(2)


class MergeMixesBatchAndTokens(Attention):
    """SPECIMEN: the same, and then the permutation that would have been right for `(N, H)`."""

    def merge(self, x: Tensor) -> Tensor:
        batch, heads, length, _ = x.shape
        mixed = x.reshape(heads, batch, length, -1).permute(0, 2, 1, 3)
        return mixed.reshape(batch, length, -1)


class BatchFirstForgotten(Attention):
    """SPECIMEN: takes `(N, L, E)` for `(L, N, E)`, so that samples attend to each other."""

    def turn(self, x: Tensor) -> Tensor:
        return x.transpose(0, 1)


class ScaledByEmbedDim(Attention):
    """SPECIMEN: divides by the root of E where D belongs."""

    def scale(self, query: Tensor) -> float:
        return 1.0 / math.sqrt(query.shape[-1] * self.num_heads)


class ScaleInverted(Attention):
    """SPECIMEN: multiplies by the root of D."""

    def scale(self, query: Tensor) -> float:
        return math.sqrt(query.shape[-1])


class ScaleMissing(Attention):
    """SPECIMEN: does not scale."""

    def scale(self, query: Tensor) -> float:
        return 1.0


class SoftmaxOverQueries(Attention):
    """SPECIMEN: columns add up to one instead of rows."""

    def softmax(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores, dim=-2)


class EinsumAxesSwapped(Attention):
    """SPECIMEN: mixes the values by columns of the map: `nhsl,nhsd->nhld`."""

    def mix(self, weights: Tensor, value: Tensor) -> Tensor:
        return weights.transpose(-2, -1) @ value


class ValueUsesKey(Attention):
    """SPECIMEN: the values are the keys."""

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, _ = super().project(x)
        return query, key, key


class NoOutputProjection(Attention):
    """SPECIMEN: concatenates the heads and stops."""

    def out(self, x: Tensor) -> Tensor:
        return x


class DropoutInEval(Attention):
    """SPECIMEN: drops weights in evaluation mode too."""

    def drop(self, weights: Tensor) -> Tensor:
        return F.dropout(weights, self.dropout, training=True)


class InputChangedInPlace(Attention):
    """SPECIMEN: works on the caller's tensor."""

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        projected = super().project(x.clone())
        x.mul_(0.5)
        return projected
