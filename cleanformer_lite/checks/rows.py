"""The rows of all input projections in one table, each with its bias and what gradients say of it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cleanformer_lite.checks.parameters import TINY, Parameter, silent
from cleanformer_lite.checks.probes import Sizes


@dataclass(frozen=True)
class Rows:
    """Rows of input projections: the weights, the biases, and what gradients say of each."""

    weight: Tensor
    bias: Tensor
    is_value: Tensor
    query_likeness: Tensor
    is_used: Tensor

    def pick(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        return self.weight[chosen], self.bias[chosen]


def take_out_bias(vectors: list[Parameter], sizes: Sizes) -> tuple[Tensor, list[Parameter]]:
    """Find the bias of the output: its second number alone gets no gradient."""
    for index, vector in enumerate(vectors):
        flat = vector.quiet.flatten()
        if flat.numel() == sizes.embed_dim and silent(flat, 0, 1):
            others = torch.cat([flat[:1], flat[2:]]).abs()
            if others.min() > TINY * others.max():
                return vector.value.flatten(), vectors[:index] + vectors[index + 1 :]
    return torch.zeros(sizes.embed_dim), vectors


def pair_biases(matrices: list[tuple[Tensor, Tensor, Tensor]], vectors: list[Parameter]) -> Rows:
    """Give each matrix the bias whose gradient is that of its weights on the constant feature.

    Biases of keys get no gradient at all: they go, in order, to the matrices that are left.
    """
    chosen: dict[int, Tensor] = {}
    left = list(vectors)
    for exact in (True, False):
        for index, (value, _, four) in enumerate(matrices):
            if index in chosen:
                continue
            for vector in left:
                if vector.value.numel() == len(value) and (not exact or is_bias(four, vector)):
                    chosen[index] = vector.value.flatten()
                    left = [other for other in left if other is not vector]
                    break
    weight, one, four = (torch.cat(parts) for parts in zip(*matrices, strict=True))
    bias = torch.cat(
        [chosen.get(index, torch.zeros(len(parts[0]))) for index, parts in enumerate(matrices)]
    )
    strength = four.abs().amax(dim=1)
    return Rows(
        weight,
        bias,
        is_value=one.abs().amax(dim=1) > TINY * one.abs().max(),
        query_likeness=four[:, 2].abs() / strength.clamp_min(1e-30),
        is_used=strength > TINY * strength.max(),
    )


def is_bias(four: Tensor, vector: Parameter) -> bool:
    """Say whether a vector's gradient is that of a matrix's weights on the constant feature."""
    theirs = vector.four.flatten()
    scale = float(four.abs().max())
    moved = theirs.abs().max() > 1e-4 * scale
    return bool(moved) and bool((four[:, 2] - theirs).abs().max() <= 1e-4 * scale)
