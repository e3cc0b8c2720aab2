"""The law of launching: where operators have little to do, time is so much for each of them."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from cleanformer_lite.timing.quartiles import in_time


class Line(NamedTuple):
    """A straight line through measured times.

    `slope` is seconds an operator, `start` seconds without any, and `r_squared` the share of the
    times' variance that the line explains, 0 to 1.
    """

    slope: float
    start: float
    r_squared: float

    def __str__(self) -> str:
        return f"{in_time(self.slope)} an operator, R2 = {self.r_squared:.4f}"


def fit_line(operators: Sequence[int], seconds: Sequence[float]) -> Line:
    """Fit time against operators by least squares.

    Raises: ValueError unless there are as many times as counts, two or more, not all alike.
    """
    if len(operators) != len(seconds) or len(set(operators)) < 2:
        raise ValueError(
            "wanted as many times as counts, for two different counts at least, got "
            f"{len(seconds)} times for the counts {list(operators)}"
        )
    slope, start = statistics.linear_regression(operators, seconds)
    flat = len(set(seconds)) == 1  # nothing varies, so there is nothing to explain
    r = 1.0 if flat else statistics.correlation(operators, seconds)
    return Line(slope, start, r * r)
