"""Find query, key, value and output projection in any module, by what their gradients do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.parameters import (
    Parameter,
    input_rows,
    output_matrix,
    parameters_of,
)
from cleanformer_lite.checks.probes import LARGE, Sizes
from cleanformer_lite.checks.rows import Rows, table, take_out_bias


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
    rows_found = table(matrices, vectors)
    for reading in partitions(rows_found, sizes):
        natural = reading if out_bias is None else replace(reading, out=out, out_bias=out_bias)
        yield natural
        yield strided(natural, sizes)


def partitions(rows: Rows, sizes: Sizes) -> Iterator[Projections]:
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


def halves(rows: Rows, rest: Tensor, sizes: Sizes) -> Iterator[tuple[Tensor, Tensor]]:
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
