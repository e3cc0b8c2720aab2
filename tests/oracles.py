"""Multi-head attention and its gradients from plain Python numbers, one index at a time.

Nothing here is torch: the expected values of the other tests come from this file by another road.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class Number:
    """A float that remembers what it was made of, and how steeply it depends on each of those."""

    value: float
    made_of: list[tuple["Number", float]] = field(default_factory=list)
    slope: float = 0.0


Nested = Any  # numbers in lists in lists, as Tensor.tolist gives them
Mask = Callable[[int, int, int, int], bool]  # may query i of row n, head h, attend to key j?


def numbers(nested: Nested) -> Nested:
    """Turn nested lists of floats into nested lists of numbers."""
    return [numbers(x) for x in nested] if isinstance(nested, list) else Number(nested)


def values(nested: Nested) -> Nested:
    """Turn nested lists of numbers back into floats."""
    return [values(x) for x in nested] if isinstance(nested, list) else nested.value


def slopes(nested: Nested) -> Nested:
    """Read, after `backward`, the gradient that arrived at each number."""
    return [slopes(x) for x in nested] if isinstance(nested, list) else nested.slope


def dot(xs: Sequence[Number], ys: Sequence[Number]) -> Number:
    """Sum the products of two equally long sequences."""
    pairs = list(zip(xs, ys, strict=True))
    made_of = [(x, y.value) for x, y in pairs] + [(y, x.value) for x, y in pairs]
    return Number(sum(x.value * y.value for x, y in pairs), made_of)


def softmax(scores: Sequence[Number]) -> list[Number]:
    """Make positive numbers that sum to 1; d weight_i / d score_j = w_i (1 if i = j) - w_i w_j."""
    powers = [math.exp(score.value) for score in scores]
    weights = [power / sum(powers) for power in powers]
    return [
        Number(w, [(score, w * ((i == j) - weights[j])) for j, score in enumerate(scores)])
        for i, w in enumerate(weights)
    ]


def linear(
    rows: Sequence[Sequence[Number]], weight: Nested, bias: Nested | None
) -> list[list[Number]]:
    """Map every row x to weight x + bias."""
    one = Number(1.0)
    biases = [] if bias is None else bias
    return [
        [
            dot([*row, one], [*weights, biases[o]]) if biases else dot(row, weights)
            for o, weights in enumerate(weight)
        ]
        for row in rows
    ]


def attend(
    query: Sequence[Number],
    keys: Sequence[Sequence[Number]],
    columns: Sequence[Sequence[Number]],
    allowed: Sequence[int],
) -> tuple[list[Number], list[Number]]:
    """Let one query read the allowed keys; `columns` holds the values feature by feature."""
    scale = Number(1 / math.sqrt(len(query)))
    scores = [dot([dot(query, keys[j])], [scale]) for j in allowed]
    weights = [Number(0.0) for _ in keys]
    for j, weight in zip(allowed, softmax(scores), strict=True):
        weights[j] = weight
    return [dot(weights, column) for column in columns], weights


def multi_head(
    projections: dict[str, tuple[Nested, Nested | None]],
    query: Nested,
    key: Nested,
    value: Nested,
    num_heads: int,
    may_attend: Mask,
) -> tuple[Nested, Nested]:
    """Return the output, N by L by E, and the weights, N by H by L by S."""
    outputs: Nested = []
    weights: Nested = []
    for n in range(len(query)):
        queries = linear(query[n], *projections["q_proj"])
        keys = linear(key[n], *projections["k_proj"])
        memory = linear(value[n], *projections["v_proj"])
        width = len(projections["q_proj"][0]) // num_heads
        side_by_side: list[list[Number]] = [[] for _ in queries]
        weights.append([[] for _ in range(num_heads)])
        for h in range(num_heads):
            mine = range(h * width, (h + 1) * width)
            for i, vector in enumerate(queries):
                read, row = attend(
                    [vector[d] for d in mine],
                    [[k[d] for d in mine] for k in keys],
                    [[v[d] for v in memory] for d in mine],
                    [j for j in range(len(keys)) if may_attend(n, h, i, j)],
                )
                side_by_side[i] += read
                weights[n][h].append(row)
        outputs.append(linear(side_by_side, *projections["out_proj"]))
    return outputs, weights


def backward(outputs: Nested, upstream: Nested) -> None:
    """Give every number that the outputs depend on its slope of sum(outputs * upstream)."""
    loss = dot(flat(outputs), [Number(u) for u in flat(upstream)])
    loss.slope = 1.0
    for number in reversed(in_order_of_making(loss)):
        for part, slope in number.made_of:
            part.slope += slope * number.slope


def flat(nested: Nested) -> list[Any]:
    return [x for part in nested for x in flat(part)] if isinstance(nested, list) else [nested]


def in_order_of_making(last: Number) -> list[Number]:
    """List every number that `last` was made of, each after those that it was made of itself."""
    order: list[Number] = []
    seen: set[int] = set()
    to_do: list[tuple[Number, bool]] = [(last, False)]
    while to_do:
        number, parts_done = to_do.pop()
        if parts_done:
            order.append(number)
        elif id(number) not in seen:
            seen.add(id(number))
            to_do.append((number, True))
            to_do += [(part, False) for part, _ in number.made_of]
    return order
