"""The pieces that a module keeps a projection in, read and written as one whole matrix."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Projection:
    """One of the four projections as pieces: stacked along the rows they are the whole matrix."""

    weights: list[Tensor]
    biases: list[Tensor] | None

    def stacked(self) -> tuple[Tensor, Tensor | None]:
        """Return the whole matrix `(E, E)` and the whole bias `(E,)` or None, as copies."""
        return torch.cat(self.weights), None if self.biases is None else torch.cat(self.biases)

    def refusal(self, name: str, weight: Tensor, bias: Tensor | None) -> str | None:
        """Say why these pieces cannot be that matrix, or return None if they can."""
        if self.biases is None and bias is not None and bias.any():
            return f"wanted a target with a bias in {name}, as in the source, got one without"
        return None

    def fill(self, weight: Tensor, bias: Tensor | None) -> None:
        """Write the whole matrix `(E, E)` and the whole bias `(E,)` into the pieces; no bias is
        zeros.
        """
        sizes = [piece.shape[0] for piece in self.weights]
        for piece, new in zip(self.weights, torch.split(weight, sizes), strict=True):
            piece.copy_(new)
        if self.biases is not None:
            bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
            for piece, new in zip(self.biases, torch.split(bias, sizes), strict=True):
                piece.copy_(new)


@dataclass
class BlockDiagonal:
    """One projection of sliced heads: H small matrices on the diagonal, zeros everywhere else."""

    weights: list[Tensor]
    biases: list[Tensor] | None

    def stacked(self) -> tuple[Tensor, Tensor | None]:
        """Return the whole matrix `(E, E)` and the whole bias `(E,)` or None, as copies."""
        bias = None if self.biases is None else torch.cat(self.biases)
        return torch.block_diag(*self.weights), bias

    def fill(self, weight: Tensor, bias: Tensor | None) -> None:
        """Write the blocks on the diagonal into the pieces; no bias is zeros."""
        for piece, new in zip(self.weights, self.blocks(weight), strict=True):
            piece.copy_(new)
        if self.biases is not None:
            bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
            for piece, new in zip(self.biases, bias.chunk(len(self.biases)), strict=True):
                piece.copy_(new)

    def refusal(self, name: str, weight: Tensor, bias: Tensor | None) -> str | None:
        """Say why these pieces cannot be that matrix, or return None if they can.

        Shapes: weight `(E, E)`, bias `(E,)` or None.
        """
        blocks = self.blocks(weight)
        if not torch.equal(torch.block_diag(*blocks), weight):
            return (
                f"wanted a {name} that is zero outside the blocks on its diagonal, because a "
                "sliced head reads its own slice only, got one with other weights there"
            )
        if self.biases is None and bias is not None and bias.any():
            return f"wanted a target with a bias in {name}, as in the source, got one without"
        biases = [] if bias is None else list(bias.chunk(len(blocks)))
        one_for_all = len({id(piece) for piece in self.weights}) < len(self.weights)
        if one_for_all and any(
            not torch.equal(x, same[0]) for same in (blocks, biases) for x in same
        ):
            return f"wanted a {name} with the same block for every head, because one is shared"
        return None

    def blocks(self, weight: Tensor) -> list[Tensor]:
        """Cut the blocks on the diagonal out of the whole matrix.

        Shapes: weight `(E, E)` -> H times `(D, D)`.
        """
        size = self.weights[0].shape[0]
        heads = weight.split(size)  # (E, E) -> H times (D, E)
        return [head[:, h * size : (h + 1) * size] for h, head in enumerate(heads)]
