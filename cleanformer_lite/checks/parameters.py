"""What gradients say of each parameter: whether it reads the input, makes the output, is a bias."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.probes import LARGE, MOST_PARAMETERS, Sizes, weight_values

TINY = 1e-5


@dataclass(frozen=True)
class Parameter:
    """One parameter: its values and its gradients, in the three ways they were taken."""

    value: Tensor
    one: Tensor
    four: Tensor
    quiet: Tensor


def parameters_of(facts: Observations, seed: int) -> list[Parameter]:
    """Rebuild the parameters from the seed; shapes and gradients come from the facts.

    Raises: ValueError if the facts do not hold together.
    """
    count = facts.get("parameters")
    if not isinstance(count, int) or not 0 <= count <= MOST_PARAMETERS:
        raise ValueError("no count of parameters")
    return [parameter_of(facts, seed, index) for index in range(count)]


def parameter_of(facts: Observations, seed: int, index: int) -> Parameter:
    """Rebuild one parameter.

    Raises: ValueError if its shape cannot be true or a gradient does not fit it.
    """
    text = facts.get(f"shape.{index}")
    sizes = [int(part) for part in text.split(",") if part] if isinstance(text, str) else [0]
    shape = torch.Size(sizes)
    if len(sizes) > 5 or any(size < 1 for size in sizes) or shape.numel() > 20 * LARGE.embed_dim**2:
        raise ValueError(f"no parameter has shape {text!r}")
    gradients = []
    for key in ("one", "four", "quiet"):
        gradient = facts.get(f"gradient.{key}.{index}")
        if gradient is None:
            gradient = torch.zeros(shape)
        if not isinstance(gradient, Tensor) or gradient.shape != shape:
            raise ValueError("a gradient that does not fit")
        gradients.append(gradient.to(torch.float32))
    return Parameter(weight_values(LARGE, seed, index, shape), *gradients)


def silent(gradient: Tensor, axis: int, index: int) -> bool:
    """Say whether one slice along an axis gets no gradient while the rest does."""
    limit = TINY * float(gradient.abs().max())
    quiet = gradient.abs().select(axis, index).max() <= limit
    return bool(quiet) and limit > 0


def input_rows(parameter: Parameter, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor] | None:
    """Lay a parameter that reads the input out as rows `(R, E)`: values, gradients for one, four.

    Of the two gradients for one token the larger counts: either may be next to nothing by chance.
    """
    alone = torch.maximum(parameter.one.abs(), parameter.quiet.abs())
    for axis in reversed(range(parameter.value.dim())):
        if parameter.value.shape[axis] == sizes.embed_dim and silent(parameter.four, axis, 0):
            value, one, four = (
                tensor.movedim(axis, -1).reshape(-1, sizes.embed_dim)
                for tensor in (parameter.value, alone, parameter.four)
            )
            return value, one, four
    return None


def output_matrix(parameter: Parameter, sizes: Sizes) -> Tensor | None:
    """Lay a parameter that makes the output out as `(E, E)`, output features first."""
    if parameter.value.numel() != sizes.embed_dim**2:
        return None
    for axis in range(parameter.value.dim()):
        if parameter.value.shape[axis] == sizes.embed_dim and silent(parameter.quiet, axis, 1):
            return parameter.value.movedim(axis, 0).reshape(sizes.embed_dim, -1)
    return None
