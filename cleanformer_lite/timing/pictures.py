"""Pictures of times: the law of launching, and bars with their spread."""

from collections.abc import Sequence
from typing import Any

from cleanformer_lite.timing.compare import Comparison
from cleanformer_lite.timing.law import Line
from cleanformer_lite.timing.quartiles import in_time

# One dark and one light blue, told apart by every kind of eye; what a bar is stands beside it.
INK, FILL = "#0b3c5d", "#8ec3e6"


def plot_law(operators: Sequence[int], seconds: Sequence[float], line: Line) -> Any:
    """Draw times against operators, with the line through them.

    Units: seconds. Returns a matplotlib Figure.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3), layout="constrained")
    ends = (0, max(operators))
    axes.plot(
        ends, [1e6 * (line.start + line.slope * x) for x in ends], color="grey", label=str(line)
    )
    axes.plot(operators, [1e6 * time for time in seconds], "o", color=INK, label="measured")
    axes.set_xlabel("operators in one call")
    axes.set_ylabel("microseconds")
    axes.legend()
    pyplot.close(figure)
    return figure


def plot_comparison(found: Comparison) -> Any:
    """Draw one bar for each variant: the median time, with a line from quartile to quartile.

    Times that differ more than tenfold stand on a logarithmic axis, as points: a bar's length would
    say nothing there. Returns a matplotlib Figure.
    """
    from matplotlib import pyplot

    names = list(found.seconds)
    times = [found.times(name) for name in names]
    medians = [1e6 * time.median for time in times]
    spread = [
        [1e6 * (time.median - time.lower) for time in times],
        [1e6 * (time.upper - time.median) for time in times],
    ]
    figure, axes = pyplot.subplots(figsize=(6, 0.8 + 0.35 * len(names)), layout="constrained")
    if max(medians) > 10 * min(medians):
        axes.set_xscale("log")
        axes.errorbar(medians, names, xerr=spread, fmt="o", color=INK, capsize=3)
    else:
        axes.barh(names, medians, xerr=spread, color=FILL, ecolor=INK, capsize=3)
    for place, time in enumerate(times):
        axes.annotate(f"  {in_time(time.median)}", (1e6 * time.upper, place), va="center")
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.set_xlabel("microseconds a call, median and quartiles")
    pyplot.close(figure)
    return figure
