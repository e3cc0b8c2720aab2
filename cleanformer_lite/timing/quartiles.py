"""Several samples in three numbers, and how times and sizes are written."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Quartiles(NamedTuple):
    """Lower quartile, median and upper quartile of several times, in seconds."""

    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Quartiles":
        """Take the quartiles; a single sample is its own."""
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        return cls(*statistics.quantiles(samples))

    def __str__(self) -> str:
        return f"{in_time(self.median)} ({in_time(self.lower)} to {in_time(self.upper)})"


def in_time(seconds: float) -> str:
    """Write a time with three digits and the unit that suits it."""
    unit, name = next(
        (pair for pair in ((1.0, "s"), (1e-3, "ms")) if seconds >= pair[0]), (1e-6, "us")
    )
    return f"{seconds / unit:.3g} {name}"


def in_bytes(size: float) -> str:
    """Write a size with three digits, in KiB, MiB or GiB."""
    unit, name = next(
        (pair for pair in ((2**30, "GiB"), (2**20, "MiB")) if size >= pair[0]), (2**10, "KiB")
    )
    return f"{size / unit:.3g} {name}"
