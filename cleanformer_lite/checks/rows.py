"""The rows of all input projections in one table: weights, bias, what gradients say of each."""

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


def table(matrices: list[tuple[Tensor, Tensor, Tensor]], vectors: list[Parameter]) -> Rows:
    """Put the rows of all matrices under each other, each with its bias."""
    chosen = pair_biases([(len(value), four) for value, _, four in matrices], vectors)
    weight, one, four = (torch.cat(parts) for parts in zip(*matrices, strict=True))
    strength = four.abs().amax(dim=1)
    return Rows(
        weight,
        torch.cat(chosen),
        is_value=one.amax(dim=1) > TINY * one.max(),
        query_likeness=four[:, 2].abs() / strength.clamp_min(1e-30),
        is_used=strength > TINY * strength.max(),
    )


def pair_biases(matrices: list[tuple[int, Tensor]], vectors: list[Parameter]) -> list[Tensor]:
    """Give each matrix the bias whose gradient is that of its weights on the constant feature.

    Biases of keys get no gradient at all: they go, in order, to the matrices that are left. A
    matrix without a bias gets zeros.
    """
    chosen: dict[int, Tensor] = {}
    left = {
        index: (v.value.flatten(), v.four.flatten().tolist()) for index, v in enumerate(vectors)
    }
    wanted = [(rows, four[:, 2].tolist(), float(four.abs().max())) for rows, four in matrices]
    for exact in (True, False):
        for index, (rows, gradient, scale) in enumerate(wanted):
            if index in chosen:
                continue
            for name, (value, theirs) in left.items():
                if len(theirs) == rows and (not exact or is_bias(gradient, theirs, scale)):
                    chosen[index] = value
                    del left[name]
                    break
    return [chosen.get(index, torch.zeros(rows)) for index, (rows, _) in enumerate(matrices)]


def is_bias(gradient: list[float], theirs: list[float], scale: float) -> bool:
    """Say whether a vector's gradient is that of a matrix's weights on the constant feature."""
    pairs = zip(gradient, theirs, strict=True)
    if not all(abs(mine - other) <= 1e-4 * scale for mine, other in pairs):
        return False
    return any(abs(other) > 1e-4 * scale for other in theirs)
