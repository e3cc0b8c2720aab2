"""Find query, key, value and output projection in any module, by what their gradients do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.probes import LARGE, MOST_PARAMETERS, Sizes, weight_values

TINY = 1e-5


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


@dataclass(frozen=True)
class Rows:
    """Rows of input projections: the weights, the biases, and what gradients say of each."""

    weight: Tensor
    bias: Tensor
    is_value: Tensor
    is_query: Tensor
    is_used: Tensor

    def pick(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        return self.weight[chosen], self.bias[chosen]


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
    """Lay a parameter that reads the input out as rows `(R, E)`: values and both gradients."""
    for axis in reversed(range(parameter.value.dim())):
        if parameter.value.shape[axis] == sizes.embed_dim and silent(parameter.four, axis, 0):
            value, one, four = (
                tensor.movedim(axis, -1).reshape(-1, sizes.embed_dim)
                for tensor in (parameter.value, parameter.one, parameter.four)
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


def hypotheses(facts: Observations, seed: int) -> list[Projections]:
    """List the ways to read an answer's parameters, likeliest first; empty if there is none."""
    try:
        found = parameters_of(facts, seed)
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
    rows_found = pair_biases(matrices, vectors)
    for reading in partitions(rows_found, sizes):
        natural = reading if out_bias is None else replace(reading, out=out, out_bias=out_bias)
        yield natural
        yield strided(natural, sizes)


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
        is_query=four[:, 2].abs() > 1e-4 * strength,
        is_used=strength > TINY * strength.max(),
    )


def is_bias(four: Tensor, vector: Parameter) -> bool:
    """Say whether a vector's gradient is that of a matrix's weights on the constant feature."""
    theirs = vector.four.flatten()
    scale = float(four.abs().max())
    moved = theirs.abs().max() > 1e-4 * scale
    return bool(moved) and bool((four[:, 2] - theirs).abs().max() <= 1e-4 * scale)


def partitions(rows: Rows, sizes: Sizes) -> Iterator[Projections]:
    """Split rows into query, key and value; who is query and who is key is tried both ways."""
    embed_dim, head_dim = sizes.embed_dim, sizes.head_dim
    value = torch.nonzero(rows.is_value).flatten()
    rest = torch.nonzero(~rows.is_value & rows.is_used).flatten()
    if len(value) != embed_dim:
        return
    if len(rest) == embed_dim:  # nothing is left for the key: the values must come from it
        yield assembled(rows, rest, value, value)
    if len(rest) != 2 * embed_dim:
        return
    by_block = torch.arange(2 * embed_dim).view(-1, 2, head_dim)
    half = torch.arange(embed_dim)
    splits = [(half, half + embed_dim), (by_block[:, 0].flatten(), by_block[:, 1].flatten())]
    queries, keys = rest[rows.is_query[rest]], rest[~rows.is_query[rest]]
    if len(queries) == embed_dim:
        yield assembled(rows, queries, keys, value)
    for first, second in splits:
        yield assembled(rows, rest[first], rest[second], value)
        yield assembled(rows, rest[second], rest[first], value)


def assembled(rows: Rows, query: Tensor, key: Tensor, value: Tensor) -> Projections:
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
