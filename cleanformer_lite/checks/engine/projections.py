"""Find query, key, value and output projection in any module, by what their gradients do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.trials import LARGE, MOST_PARAMETERS, Sizes, weight_values
from cleanformer_lite.checks.exercise import Observations

TINY = 1e-5


@dataclass(frozen=True)
class Parameter:
    """One parameter: its values and its gradients, in the three ways they were taken."""

    value: Tensor
    one: Tensor
    four: Tensor
    quiet: Tensor


def parameters_of(observed: Observations, seed: int) -> list[Parameter]:
    """Rebuild the parameters from the seed; shapes and gradients come from the observed.

    Raises: ValueError if the observed do not hold together.
    """
    count = observed.get("parameters")
    if not isinstance(count, int) or not 0 <= count <= MOST_PARAMETERS:
        raise ValueError("no count of parameters")
    return [parameter_of(observed, seed, index) for index in range(count)]


def parameter_of(observed: Observations, seed: int, index: int) -> Parameter:
    """Rebuild one parameter.

    Raises: ValueError if its shape cannot be true or a gradient does not fit it.
    """
    text = observed.get(f"shape.{index}")
    sizes = [int(part) for part in text.split(",") if part] if isinstance(text, str) else [0]
    shape = torch.Size(sizes)
    if len(sizes) > 5 or any(size < 1 for size in sizes) or shape.numel() > 20 * LARGE.embed_dim**2:
        raise ValueError(f"no parameter has shape {text!r}")
    gradients = []
    for key in ("one", "four", "quiet"):
        gradient = observed.get(f"gradient.{key}.{index}")
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


@dataclass(frozen=True)
class InputRows:
    """InputRows of input projections: the weights, the biases, and what gradients say of each."""

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


def table(matrices: list[tuple[Tensor, Tensor, Tensor]], vectors: list[Parameter]) -> InputRows:
    """Put the rows of all matrices under each other, each with its bias."""
    chosen = pair_biases([(len(value), four) for value, _, four in matrices], vectors)
    weight, one, four = (torch.cat(parts) for parts in zip(*matrices, strict=True))
    strength = four.abs().amax(dim=1)
    return InputRows(
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


@dataclass(frozen=True)
class Projections:
    """The four projections as `torch.nn.Linear` keeps them, `(E, E)` and `(E,)` each.

    `out` is None where heads are concatenated and nothing more.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor | None
    query_bias: Tensor
    key_bias: Tensor
    value_bias: Tensor
    out_bias: Tensor

    @cached_property
    def is_tied(self) -> bool:
        """Whether the values come from the keys' projection."""
        return torch.equal(self.key, self.value)


def hypotheses(observed: Observations, seed: int) -> list[Projections]:
    """List the ways to read an answer's parameters, likeliest first; empty if there is none."""
    try:
        found = parameters_of(observed, seed)
        return list(readings(found, LARGE))
    except (ValueError, RuntimeError, IndexError):
        return []


def readings(found: list[Parameter], sizes: Sizes) -> Iterator[Projections]:
    """Sort parameters into rows, output matrix and biases, and pair them up."""
    matrices, out = [], None
    vectors = [p for p in found if p.value.numel() <= 3 * sizes.embed_dim]
    for parameter in found:
        if parameter.value.numel() <= 3 * sizes.embed_dim:
            continue
        rows = input_rows(parameter, sizes)
        if rows is not None:
            matrices.append(rows)
        elif out is None:
            out = output_matrix(parameter, sizes)
    if not matrices:
        return
    out_bias, vectors = take_out_bias(vectors, sizes) if out is not None else (None, vectors)
    inputs = table(matrices, vectors)
    for reading in partitions(inputs, sizes):
        natural = reading if out_bias is None else replace(reading, out=out, out_bias=out_bias)
        yield natural
        yield strided(natural, sizes)


def partitions(rows: InputRows, sizes: Sizes) -> Iterator[Projections]:
    """Split rows into query, key and value; who is query and who is key is tried both ways."""
    value = torch.nonzero(rows.is_value).flatten()
    rest = torch.nonzero(~rows.is_value & rows.is_used).flatten()
    if len(value) != sizes.embed_dim:
        return
    if len(rest) == sizes.embed_dim:  # nothing is left for the key: the values must come from it
        yield assembled(rows, rest, value, value)
    if len(rest) != 2 * sizes.embed_dim:
        return
    for first, second in halves(rows, rest, sizes):
        yield assembled(rows, first, second, value)
        yield assembled(rows, second, first, value)


def halves(rows: InputRows, rest: Tensor, sizes: Sizes) -> Iterator[tuple[Tensor, Tensor]]:
    """Tell rows of queries from those of keys; where gradients do not, try the usual layouts."""
    likeness = rows.query_likeness[rest]
    is_query = torch.zeros(len(rest), dtype=torch.bool)
    is_query[likeness.topk(sizes.embed_dim).indices] = True
    yield rest[is_query], rest[~is_query]
    if bool((likeness[is_query] > 1e-3).all() and (likeness[~is_query] < 1e-5).all()):
        return
    by_block = rest.view(-1, 2, sizes.head_dim)
    yield rest[: sizes.embed_dim], rest[sizes.embed_dim :]
    yield by_block[:, 0].flatten(), by_block[:, 1].flatten()


def assembled(rows: InputRows, query: Tensor, key: Tensor, value: Tensor) -> Projections:
    """Put chosen rows together; the output comes later."""
    queries, keys, values = (rows.pick(chosen) for chosen in (query, key, value))
    nothing = torch.zeros(len(value))
    return Projections(
        queries[0], keys[0], values[0], None, queries[1], keys[1], values[1], nothing
    )


def strided(reading: Projections, sizes: Sizes) -> Projections:
    """Read heads that take every H-th feature, which is as good as neighbouring ones."""
    where = torch.arange(sizes.embed_dim).view(sizes.head_dim, sizes.num_heads).t().flatten()
    return Projections(
        reading.query[where],
        reading.key[where],
        reading.value[where],
        None if reading.out is None else reading.out[:, where],
        reading.query_bias[where],
        reading.key_bias[where],
        reading.value_bias[where],
        reading.out_bias,
    )
