"""Counting and timing attention variants, and saying on what they were counted and timed."""

from cleanformer_lite.timing.compare import Comparison, compare
from cleanformer_lite.timing.counts import OperatorCount, count_operators, peak_memory
from cleanformer_lite.timing.measure import Measurement, measure
from cleanformer_lite.timing.paper import (
    Line,
    Rates,
    count_bytes,
    count_flops,
    fit_line,
    floor_seconds,
    measure_rates,
    predict_seconds,
)
from cleanformer_lite.timing.pictures import plot_comparison, plot_law
from cleanformer_lite.timing.recall import Timings, measure_or_recall, measured_elsewhere
from cleanformer_lite.timing.variants import VARIANTS, Shape, build_variants
from cleanformer_lite.timing.wrong_ways import WrongWay, wrong_ways

__all__ = [
    "VARIANTS",
    "Comparison",
    "Line",
    "Measurement",
    "OperatorCount",
    "Rates",
    "Shape",
    "Timings",
    "WrongWay",
    "build_variants",
    "compare",
    "count_bytes",
    "count_flops",
    "count_operators",
    "fit_line",
    "floor_seconds",
    "measure",
    "measure_or_recall",
    "measure_rates",
    "measured_elsewhere",
    "peak_memory",
    "plot_comparison",
    "plot_law",
    "predict_seconds",
    "wrong_ways",
]
