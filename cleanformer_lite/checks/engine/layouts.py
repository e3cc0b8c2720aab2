"""Lay out parameters as rows that read the input, columns that make the output, and projections."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.trials import LARGE, MOST_PARAMETERS, Sizes, parameter_values
from cleanformer_lite.checks.observations import ModuleObservations, Tensors

TINY = 1e-5


@dataclass(frozen=True)
class Parameter:
    """One parameter: its values and its gradients, in the three ways they were taken."""

    value: Tensor
    one: Tensor
    four: Tensor
    quiet: Tensor


def parameters_of(observed: ModuleObservations, seed: int) -> list[Parameter]:
    """Rebuild the parameters from the seed; shapes and gradients were observed.

    Raises: ValueError if the observations contradict each other.
    """
    shapes = observed.registered.shapes
    if len(shapes) > MOST_PARAMETERS:
        raise ValueError(f"wanted {MOST_PARAMETERS} parameters at most, got {len(shapes)}")
    return [_parameter(observed, seed, index) for index in range(len(shapes))]


def _parameter(observed: ModuleObservations, seed: int, index: int) -> Parameter:
    """Rebuild one parameter.

    Raises: ValueError if its shape cannot be true or a gradient does not fit it.
    """
    sizes = observed.registered.shapes[index]
    most = 20 * LARGE.embed_dim**2
    if len(sizes) > 5 or not all(1 <= size <= most for size in sizes) or math.prod(sizes) > most:
        raise ValueError(f"no parameter has shape {sizes}")
    shape, gradients = torch.Size(sizes), observed.gradients
    taken = (gradients.one, gradients.four, gradients.quiet)
    return Parameter(
        parameter_values(LARGE, seed, index, shape), *(_gradient(of, index, shape) for of in taken)
    )


def _gradient(gradients: Tensors, index: int, shape: torch.Size) -> Tensor:
    """Return the gradient of one parameter, zeros if there is none.

    Raises: ValueError if it has another shape.
    """
    gradient = gradients[index] if index < len(gradients) else None
    if gradient is None:
        return torch.zeros(shape)
    if gradient.shape != shape:
        raise ValueError(f"wanted a gradient of shape {tuple(shape)}, got {tuple(gradient.shape)}")
    return gradient.to(torch.float32)


def silent(gradient: Tensor, axis: int, index: int) -> bool:
    """Say whether one slice along an axis gets no gradient while the rest does."""
    limit = TINY * float(gradient.abs().max())
    quiet = gradient.abs().select(axis, index).max() <= limit
    return bool(quiet) and limit > 0


@dataclass(frozen=True)
class InputMatrix:
    """A matrix `(R, E)` that reads the input: values, gradients for one token and for four.

    `bias` is the column of the parameter that is its bias, if there is one.
    """

    value: Tensor
    one: Tensor
    four: Tensor
    bias: Tensor | None = None


def input_matrix(parameter: Parameter, sizes: Sizes) -> InputMatrix | None:
    """Lay out a parameter that reads the input as `(R, E)`; a column beyond E is its bias.

    The larger of the two gradients for one token counts, because either may vanish by chance.
    """
    alone = torch.maximum(parameter.one.abs(), parameter.quiet.abs())
    tensors = (parameter.value, alone, parameter.four)
    width = sizes.embed_dim
    for axis in reversed(range(parameter.value.dim())):
        for size, first in ((width, 0), (width + 1, 0), (width + 1, 1)):
            if parameter.value.shape[axis] != size or not silent(parameter.four, axis, first):
                continue
            laid = [tensor.movedim(axis, -1).reshape(-1, size) for tensor in tensors]
            value, one, four = (tensor[:, first : first + width] for tensor in laid)
            bias = laid[0][:, -1 if first == 0 else 0] if size > width else None
            return InputMatrix(value, one, four, bias)
    return None


def output_columns(parameter: Parameter, sizes: Sizes) -> Tensor | None:
    """Lay out a parameter that makes the output as `(E, columns)`, output features first."""
    for axis in range(parameter.value.dim()):
        if parameter.value.shape[axis] == sizes.embed_dim and silent(parameter.quiet, axis, 1):
            return parameter.value.movedim(axis, 0).reshape(sizes.embed_dim, -1)
    return None


def unpacked(parameter: Parameter, sizes: Sizes) -> list[Parameter]:
    """Cut a flat parameter that packs several `(E, E)` matrices into these and their biases.

    Biases come after each matrix, or all at the end.
    """
    square, width = sizes.embed_dim**2, sizes.embed_dim
    whole, left = divmod(parameter.value.numel(), square)
    if sizes.embed_dim in parameter.value.shape or whole < 1 or left % width:
        return [parameter]
    biases = left // width
    together = [square] * whole + [width] * biases
    apart = [size for n in range(whole) for size in ([square, width] if n < biases else [square])]
    for lengths in (together, apart):
        pieces = [
            _reshaped(parameter, start, size, width)
            for start, size in zip(_starts(lengths), lengths, strict=True)
        ]
        if all(
            input_matrix(piece, sizes) or output_columns(piece, sizes) is not None
            for piece in pieces
            if piece.value.dim() == 2
        ):
            return pieces
    return [parameter]


def _starts(lengths: list[int]) -> list[int]:
    return [sum(lengths[:n]) for n in range(len(lengths))]


def _reshaped(parameter: Parameter, start: int, size: int, width: int) -> Parameter:
    tensors = (parameter.value, parameter.one, parameter.four, parameter.quiet)
    shape = (width, width) if size > width else (width,)
    return Parameter(*(tensor.flatten()[start : start + size].view(shape) for tensor in tensors))


@dataclass(frozen=True)
class Projections:
    """The four projections as `torch.nn.Linear` keeps them, `(E, E)` and `(E,)` each.

    `out` is None where heads are concatenated and nothing more; `one_head` names those that are one
    head's, repeated for all.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor | None
    query_bias: Tensor
    key_bias: Tensor
    value_bias: Tensor
    out_bias: Tensor
    one_head: tuple[str, ...] = ()

    @cached_property
    def tied(self) -> str:
        """Which projections are one: "value is key", "key is query", "all", or none."""
        value_is_key, key_is_query = (
            torch.equal(self.key, self.value),
            torch.equal(self.query, self.key),
        )
        if value_is_key and key_is_query:
            return "all"
        return "value is key" if value_is_key else "key is query" if key_is_query else ""

    @property
    def is_whole(self) -> bool:
        """Whether there are four projections, none of them another's or one head's alone."""
        return self.out is not None and not self.tied and not self.one_head


def strided(
    reading: Projections, sizes: Sizes, maps: bool = True, value: bool = True, out: bool = True
) -> Projections:
    """Read heads that take every H-th feature, which is as right as neighbouring features.

    `maps`, `value` and `out` choose the projections, because a module may mix the two.
    """
    where = torch.arange(sizes.embed_dim).view(sizes.head_dim, sizes.num_heads).t().flatten()
    changed: dict[str, Any] = {}
    for name, is_strided in (("query", maps), ("key", maps), ("value", value)):
        if is_strided:
            changed[name] = getattr(reading, name)[where]
            changed[f"{name}_bias"] = getattr(reading, f"{name}_bias")[where]
    if out and reading.out is not None:
        changed["out"] = reading.out[:, where]
    return replace(reading, **changed)


def mixed(found: list[Projections], sizes: Sizes) -> Iterator[Projections]:
    """Read each natural reading with some projections strided and others not."""
    for natural in found[::2]:
        for maps, value, out in itertools.product((False, True), repeat=3):
            if len({maps, value, out}) > 1:
                yield strided(natural, sizes, maps, value, out)
