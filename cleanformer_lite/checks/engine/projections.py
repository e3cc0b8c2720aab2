"""Find query, key, value and output projection in any module by their gradients."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.layouts import (
    TINY,
    InputMatrix,
    Parameter,
    Projections,
    input_matrix,
    output_columns,
    parameters_of,
    silent,
    strided,
    unpacked,
)
from cleanformer_lite.checks.engine.trials import LARGE, Sizes
from cleanformer_lite.checks.observations import ModuleObservations


@dataclass(frozen=True)
class InputRows:
    """All rows of the input projections: parameters, biases, and what their gradients show."""

    weight: Tensor
    bias: Tensor
    is_value: Tensor
    query_likeness: Tensor
    is_used: Tensor

    def pick(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        return self.weight[chosen], self.bias[chosen]


def take_out_bias(vectors: list[Parameter], sizes: Sizes) -> tuple[Tensor, list[Parameter]]:
    """Find the output bias: of its numbers, only the second gets no gradient.

    Several pieces, one for each head, are summed.
    """
    found = torch.zeros(sizes.embed_dim)
    left = []
    for vector in vectors:
        if _is_out_bias(vector, sizes):
            found = found + vector.value.reshape(-1, sizes.embed_dim).sum(0)
        else:
            left.append(vector)
    return found, left


def _is_out_bias(vector: Parameter, sizes: Sizes) -> bool:
    if vector.quiet.numel() % sizes.embed_dim:
        return False
    for flat in vector.quiet.reshape(-1, sizes.embed_dim):
        others = torch.cat([flat[:1], flat[2:]]).abs()
        if not silent(flat, 0, 1) or others.min() <= TINY * others.max():
            return False
    return True


def table(matrices: list[InputMatrix], vectors: list[Parameter], sizes: Sizes) -> InputRows:
    """Stack the rows of all matrices, each with its bias."""
    weight, one, four = (
        torch.cat([getattr(matrix, name) for matrix in matrices])
        for name in ("value", "one", "four")
    )
    bias = pair_biases(four, vectors, sizes)
    start = 0
    for matrix in matrices:
        here = slice(start, start := start + len(matrix.value))
        if matrix.bias is not None:
            bias[here] = matrix.bias
    strength = four.abs().amax(dim=1)
    return InputRows(
        weight,
        bias,
        is_value=one.amax(dim=1) > TINY * one.max(),
        query_likeness=four[:, 2].abs() / strength.clamp_min(1e-30),
        is_used=strength > TINY * strength.max(),
    )


def pair_biases(four: Tensor, vectors: list[Parameter], sizes: Sizes) -> Tensor:
    """Give each row the bias whose gradient equals that on the row's constant feature.

    A vector may hold the biases of several matrices, and a matrix may be given several vectors: a
    second one for the same rows is added to the first. Biases of keys get no gradient at all: they
    go, in order, to the rows that are left.
    """
    bias, taken = torch.zeros(len(four)), torch.zeros(len(four), dtype=torch.bool)
    wanted, scale = four[:, 2], float(four.abs().max())
    silent_pieces: list[Tensor] = []
    for vector in vectors:
        value, theirs = vector.value.flatten(), vector.four.flatten()
        for start, size in _pieces(theirs, wanted, taken, scale, sizes):
            part = slice(start, start + size)
            place = _place(theirs[part], wanted, taken, scale)
            if place is None:
                place = _place(theirs[part], wanted, torch.zeros_like(taken), scale)
            if place is None:
                silent_pieces.append(value[part])
                continue
            bias[place : place + size] += value[part]
            taken[place : place + size] = True
    # Relative to its own row, because a query's gradient may be small by chance.
    is_key = wanted.abs() <= 1e-4 * four.abs().amax(dim=1)
    for piece in silent_pieces:
        free = torch.nonzero(~taken & is_key).flatten()[: len(piece)]
        if len(free) == len(piece):
            bias[free] = piece
            taken[free] = True
    return bias


def _pieces(
    theirs: Tensor, wanted: Tensor, taken: Tensor, scale: float, sizes: Sizes
) -> list[tuple[int, int]]:
    """Cut a vector into the largest pieces that find rows: whole, by E, or by D."""
    for size in (len(theirs), sizes.embed_dim, sizes.head_dim):
        if len(theirs) % size == 0:
            starts = range(0, len(theirs), size)
            loud = [s for s in starts if theirs[s : s + size].abs().max() > 1e-4 * scale]
            if loud and all(
                _place(theirs[s : s + size], wanted, taken, scale) is not None for s in loud
            ):
                return [(start, size) for start in starts]
    size = sizes.embed_dim if len(theirs) % sizes.embed_dim == 0 else len(theirs)
    return [(start, size) for start in range(0, len(theirs), size)]


def _place(theirs: Tensor, wanted: Tensor, taken: Tensor, scale: float) -> int | None:
    """Find the first free run of rows with these gradients; None if the gradients are zero."""
    if theirs.abs().max() <= 1e-4 * scale or len(theirs) > len(wanted):
        return None
    windows = wanted.unfold(0, len(theirs), 1)
    fits = ((windows - theirs).abs() <= 1e-4 * scale).all(dim=1)
    fits &= ~taken.unfold(0, len(theirs), 1).any(dim=1)
    found = torch.nonzero(fits).flatten()
    return int(found[0]) if len(found) else None


def hypotheses(observed: ModuleObservations, seed: int) -> list[Projections]:
    """List the ways to read an answer's parameters, likeliest first; empty if there is none."""
    try:
        found = parameters_of(observed, seed)
        return list(readings(found, LARGE))
    except (ValueError, RuntimeError, IndexError):
        return []


def readings(found: list[Parameter], sizes: Sizes) -> Iterator[Projections]:
    """Sort parameters into rows, output matrix and biases, and pair them up."""
    matrices: list[InputMatrix] = []
    columns: list[Tensor] = []
    parameters = [piece for parameter in found for piece in unpacked(parameter, sizes)]
    vectors = [p for p in parameters if p.value.numel() <= 3 * sizes.embed_dim]
    for parameter in parameters:
        if parameter.value.numel() <= 3 * sizes.embed_dim:
            continue
        matrix = input_matrix(parameter, sizes)
        made = None if matrix else output_columns(parameter, sizes)
        if matrix is not None:
            matrices.append(matrix)
        elif made is not None:
            columns.append(made)
    if not matrices:
        return
    out, out_bias, vectors = output_of_columns(columns, vectors, sizes)
    inputs = table(matrices, vectors, sizes)
    for reading in partitions(inputs, sizes):
        natural = reading if out is None else replace(reading, out=out, out_bias=out_bias)
        yield natural
        yield strided(natural, sizes)


def output_of_columns(
    columns: list[Tensor], vectors: list[Parameter], sizes: Sizes
) -> tuple[Tensor | None, Tensor, list[Parameter]]:
    """Put the output matrix together, take its bias, and return the vectors that are left."""
    nothing = torch.zeros(sizes.embed_dim)
    if not columns:
        return None, nothing, vectors
    out = torch.cat(columns, dim=1)
    if out.shape[1] == sizes.embed_dim + 1:  # the last column is the bias
        return out[:, :-1], out[:, -1], vectors
    if out.shape[1] != sizes.embed_dim:
        return None, nothing, vectors
    bias, vectors = take_out_bias(vectors, sizes)
    return out, bias, vectors


def partitions(inputs: InputRows, sizes: Sizes) -> Iterator[Projections]:
    """Split rows into query, key and value, with query and key tried both ways."""
    value = torch.nonzero(inputs.is_value).flatten()
    rest = torch.nonzero(~inputs.is_value & inputs.is_used).flatten()
    whole, one = sizes.embed_dim, sizes.head_dim
    if len(value) == whole and len(rest) in (0, whole):  # the other projections are tied to these
        yield from tied(inputs, rest, value)
        return
    if len(value) not in (whole, one) or len(rest) not in (whole + one, 2 * whole):
        yield from by_order(inputs, sizes)
        return
    for first, second in halves(inputs, rest, sizes):
        yield repeated(inputs, first, second, value, sizes)
        yield repeated(inputs, second, first, value, sizes)


def tied(inputs: InputRows, rest: Tensor, value: Tensor) -> Iterator[Projections]:
    """Read one matrix as two or three projections."""
    if len(rest) == 0:
        yield assembled(inputs, value, value, value)
        return
    yield assembled(inputs, rest, value, value)
    yield assembled(inputs, rest, rest, value)


def repeated(
    inputs: InputRows, query: Tensor, key: Tensor, value: Tensor, sizes: Sizes
) -> Projections:
    """Put rows together, and repeat the rows of a single head for all heads."""
    parts = {"query": query, "key": key, "value": value}
    one_head = tuple(name for name, part in parts.items() if len(part) < sizes.embed_dim)
    query, key, value = (part.repeat(sizes.embed_dim // len(part)) for part in (query, key, value))
    return replace(assembled(inputs, query, key, value), one_head=one_head)


def by_order(inputs: InputRows, sizes: Sizes) -> Iterator[Projections]:
    """Take query, key and value in every order in which they may lie, if gradients do not tell."""
    if len(inputs.weight) != 3 * sizes.embed_dim:
        return
    thirds = torch.arange(len(inputs.weight)).view(3, -1)
    heads = torch.arange(len(inputs.weight)).view(-1, 3, sizes.head_dim).transpose(0, 1).flatten(1)
    for parts in (thirds, heads):
        for query, key, value in itertools.permutations(parts):
            yield assembled(inputs, query, key, value)


def halves(inputs: InputRows, rest: Tensor, sizes: Sizes) -> Iterator[tuple[Tensor, Tensor]]:
    """Tell query rows from key rows by gradients, and else by the usual layouts."""
    likeness = inputs.query_likeness[rest]
    if len(rest) < 2 * sizes.embed_dim:  # the shorter part is one head's
        order = likeness.argsort(descending=True)
        for number in (sizes.embed_dim, len(rest) - sizes.embed_dim):
            chosen = order[:number].sort().values
            others = order[number:].sort().values
            yield rest[chosen], rest[others]
        return
    is_query = torch.zeros(len(rest), dtype=torch.bool)
    is_query[likeness.topk(sizes.embed_dim).indices] = True
    yield rest[is_query], rest[~is_query]
    if bool((likeness[is_query] > 1e-3).all() and (likeness[~is_query] < 1e-5).all()):
        return
    by_block = rest.view(-1, 2, sizes.head_dim)
    yield rest[: sizes.embed_dim], rest[sizes.embed_dim :]
    yield by_block[:, 0].flatten(), by_block[:, 1].flatten()


def assembled(inputs: InputRows, query: Tensor, key: Tensor, value: Tensor) -> Projections:
    """Put chosen rows together; the output comes later."""
    queries, keys, values = (inputs.pick(chosen) for chosen in (query, key, value))
    nothing = torch.zeros(len(value))
    return Projections(
        queries[0], keys[0], values[0], None, queries[1], keys[1], values[1], nothing
    )
