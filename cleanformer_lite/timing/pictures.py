"""Pictures of times: bars with their spread, for notebooks and pages, and the law of launching."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from cleanformer_lite.timing.units import Quartiles, in_time

if TYPE_CHECKING:
    from cleanformer_lite.timing.compare import Comparison
    from cleanformer_lite.timing.paper import Line

# One dark and one light blue, told apart by every kind of eye; what a bar is stands beside it.
INK, FILL = "#0b3c5d", "#8ec3e6"
_CELL = "padding:.15em .6em;text-align:left;white-space:nowrap"
_BARS = "position:relative;display:block;min-width:9em;height:1em"
_BAR = f"position:absolute;left:0;top:.1em;height:.8em;background:{FILL};border:1px solid {INK}"
_WHISKER = "position:absolute;top:.5em;height:0;border-top:2px solid currentColor"


def draw_bars(
    bars: Mapping[str, tuple[Quartiles, Sequence[str]]], columns: Sequence[str], birth: str
) -> str:
    """Write an HTML table with a bar for each name, all on one scale that starts at 0.

    Each bar ends at the median, and a line on it goes from quartile to quartile. The texts of a bar
    stand beside it under `columns`; a column without any text is left out. `birth` stands below.
    """
    most = max(time.upper for time, _ in bars.values())
    kept = [at for at in range(len(columns)) if any(texts[at] for _, texts in bars.values())]
    head = "".join(_cell("th", escape(columns[at])) for at in kept)
    lines = "".join(
        f'<tr><th scope="row" style="{_CELL}">{escape(name)}</th>'
        + _cell("td", _draw_bar(time, most))
        + "".join(_cell("td", escape(texts[at])) for at in kept)
        + "</tr>"
        for name, (time, texts) in bars.items()
    )
    # A page may hold several: each region is named by what stands in it.
    named = escape(", ".join(f"{name} {texts[0]}" for name, (_, texts) in bars.items()))
    return (
        '<div data-follows-theme style="overflow-x:auto" tabindex="0" role="region" '
        f'aria-label="Times: {named}"><table style="border-collapse:collapse;margin:0"><thead><tr>'
        "<td></td><td></td>"
        f"{head}</tr></thead><tbody>{lines}</tbody></table></div>"
        f'<p style="font-size:.9em">{escape(birth)}</p>'
    )


def _cell(tag: str, content: str) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    return f'<{tag}{scope} style="{_CELL}">{content}</{tag}>'


def _draw_bar(time: Quartiles, most: float) -> str:
    lower, median, upper = (100 * part / most for part in time)
    return (
        f'<span style="{_BARS}" aria-hidden="true">'
        f'<span style="{_BAR};width:{median:.2f}%"></span>'
        f'<span style="{_WHISKER};left:{lower:.2f}%;width:{upper - lower:.2f}%"></span></span>'
    )


def plot_law(
    operators: Sequence[int], seconds: Sequence[float], line: "Line", heads: Sequence[int]
) -> Any:
    """Draw times against operators, each point with its number of heads, and the line through them.

    All in black, which `viewers.picture` turns into the page's ink. Units: seconds. Returns a
    matplotlib Figure.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.4), layout="constrained")
    ends = (0, max(operators))
    axes.plot(ends, [1e6 * (line.start + line.slope * x) for x in ends], "k--", linewidth=1)
    axes.plot(operators, [1e6 * time for time in seconds], "ko")
    for count, time, many in zip(operators, seconds, heads, strict=True):
        if count >= max(operators) / 5:  # those of the smallest would lie on each other
            label, point = f"{many} head{'s' if many > 1 else ''}", (count, 1e6 * time)
            axes.annotate(label, point, (-9, 3), textcoords="offset points", ha="right")
    axes.text(1, 0.02, str(line), transform=axes.transAxes, ha="right", va="bottom")
    axes.set_xlabel("operators in one call")
    axes.set_ylabel("microseconds")
    pyplot.close(figure)
    return figure


def plot_comparison(found: "Comparison") -> Any:
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
