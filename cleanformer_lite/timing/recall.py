"""Times measured here and now, or recorded elsewhere, or "not measured": never without a label."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

import torch

from cleanformer_lite.threads import one_thread
from cleanformer_lite.timing.compare import Comparison
from cleanformer_lite.timing.gpu import usual_dtype
from cleanformer_lite.timing.paper import measure_rates
from cleanformer_lite.timing.recordings import Recording, find_recording
from cleanformer_lite.timing.sweep import Point, Row, sweep
from cleanformer_lite.timing.units import describe_setting, in_time, name_dtype
from cleanformer_lite.timing.variants import Shape, names_shown

QUICK, THOROUGH = (9, 0.005), (25, 0.02)  # rounds, and seconds a block
LIMIT = 20.0  # seconds that a cell may take; a reader waits for it


@dataclass(frozen=True)
class Timings:
    """Times and where they come from; without times, why there are none.

    `names` are the variants that were asked for; times are relative to those of the first.
    """

    times: list[Row]
    source: str
    names: tuple[str, ...]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the heading and the lines: one for each length and number of heads."""
        lines = []
        for length, heads in dict.fromkeys((row.length, row.num_heads) for row in self.times):
            found = {r.variant: r for r in self.times if (r.length, r.num_heads) == (length, heads)}
            first = found.get(self.names[0])
            took = "not measured" if first is None else in_time(first.time.median) + _by(first)
            ratios = [_times(found.get(name)) for name in self.names[1:]]
            lines.append([str(length), str(heads), took, *ratios])
        return ["length", "heads", f"time of {self.names[0]}", *self.names[1:]], lines

    def __str__(self) -> str:
        if not self.times:
            return self.source
        head, lines = self.table()
        widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
        written = [
            "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
            for line in (head, *lines)
        ]
        return "\n".join([*written, f"Other columns: times {self.names[0]}.\n{self.source}"])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        if not self.times:
            return f"<p data-follows-theme>{escape(self.source)}</p>"
        head, lines = self.table()
        room = 'style="padding:0.1em 0.8em 0.1em 0;text-align:left"'
        titles = "".join(f'<th scope="col" {room}>{escape(title)}</th>' for title in head)
        body = "".join(
            "<tr>" + "".join(f"<td {room}>{escape(cell)}</td>" for cell in line) + "</tr>"
            for line in lines
        )
        named = escape("; ".join(" ".join(line) for line in lines))
        return (
            '<div data-follows-theme style="overflow-x:auto" tabindex="0" role="region" '
            f'aria-label="Times: {named}"><table><thead><tr>{titles}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
            f"<p>Other columns: relative to {escape(self.names[0])}. {escape(self.source)}</p>"
        )


def _by(row: Row) -> str:
    """Name the kernel that attended, where there was one."""
    return "" if row.kernel in (None, "written out") else f" by {row.kernel}"


def _times(row: Row | None) -> str:
    """Write a ratio with its quartiles, or that there is no difference to be seen."""
    if row is None:
        return "not measured"
    lower, median, upper = row.ratio
    same = " =" if lower <= 1.0 <= upper else ""
    return f"{median:.2f} ({lower:.2f} to {upper:.2f}){same}{_by(row)}"


def measure_or_recall(
    names: Sequence[str] = (),
    *,
    lengths: Iterable[int] = (64, 1024),
    heads: Iterable[int] = (1, 4, 16),
    embed_dim: int = 1024,
    batch: int = 1,
    dtype: torch.dtype | None = None,
    backward: bool = False,
    device: str = "cuda",
    quick: bool = True,
    live: bool = True,
) -> Timings:
    """Measure on this machine's `device` if it has one; else recall a recording of one, labelled.

    Without `live` it is always recalled. Without `names` it takes the variants that compute the
    same. Unless it is given, `dtype` is float32 on a CPU; on a GPU it is bfloat16, or float16 where
    the card only emulates that. What the device has no memory for is left out. A quick run takes
    fewer, shorter rounds, and ends after 20 seconds. Interrupted, it returns what it has.

    Raises: ValueError for an unknown variant, sizes that do not fit or are none, or another device
        than "cuda" and "cpu".
    """
    if device not in ("cuda", "cpu"):
        raise ValueError(f"wanted device 'cuda' or 'cpu', got {device!r}")
    names = tuple(names) or names_shown(same_function=True)
    here = live and (device == "cpu" or torch.cuda.is_available())
    recording = None if here else find_recording(device)
    points = [
        Point(Shape(batch, length, embed_dim, count), dtype or _dtype(device, recording), backward)
        for length in lengths
        for count in heads
    ]
    if not points:
        raise ValueError("wanted a length and a number of heads, got none")
    return (
        _measure_points(points, names, device, quick)
        if here
        else recall(recording, device, points, names)
    )


def _dtype(device: str, recording: Recording | None) -> torch.dtype:
    """Choose what is usual on this device, or what a recording has most of."""
    if recording is None:
        return (
            usual_dtype(device) if device == "cpu" or torch.cuda.is_available() else torch.bfloat16
        )
    dtypes = [row.dtype for row in recording.times]
    found: torch.dtype = getattr(torch, max(set(dtypes), key=dtypes.count))
    return found


def _measure_points(
    points: Sequence[Point], names: Sequence[str], device: str, quick: bool
) -> Timings:
    """Measure the points one by one, with a progress bar, until they are done or it must end."""
    rounds, block_seconds = QUICK if quick else THOROUGH
    dtype, began = points[0].dtype, time.monotonic()

    def too_long(found: Comparison) -> bool:
        return quick and time.monotonic() - began > LIMIT

    rates = {name_dtype(dtype): measure_rates(device, dtype)}
    found = sweep(
        points, names, rates, device=device, rounds=rounds, block_seconds=block_seconds,
        watch=too_long,
    )  # fmt: skip
    times: list[Row] = []
    reason = "no memory for the others" if device == "cuda" else "interrupted"
    try:
        for at_one_point in _with_progress(found, len(points)):
            times += at_one_point
            if quick and time.monotonic() - began > LIMIT:
                reason = f"{LIMIT:.0f} s were over"
                break
    except KeyboardInterrupt:
        reason = "interrupted"
    except torch.OutOfMemoryError:
        reason = "no memory left"
    return Timings(times, _label(points, names, times, reason, device), tuple(names))


def _label(
    points: Sequence[Point], names: Sequence[str], times: Sequence[Row], reason: str, device: str
) -> str:
    """Say what was measured, on what, and what is missing."""
    asked, point = len(points) * len(names), points[0]
    missing = "" if len(times) == asked else f"; {reason} after {len(times)} of {asked} times"
    with one_thread():
        setting = describe_setting(
            [torch.empty(0, device=device, dtype=point.dtype)], point.backward
        )
    sizes = f"N = {point.shape.batch}, E = {point.shape.embed_dim}"
    return f"Measured now: {replace(setting, shapes=sizes)}{missing}."


def _with_progress(found: Iterator[list[Row]], total: int) -> Iterator[list[Row]]:
    """Show a bar while there is work, and remove it afterwards; without tqdm there is none."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return found
    bar: Iterator[list[Row]] = tqdm(found, total=total, desc="measuring", leave=False)
    return bar


def recall(
    recording: Recording | None, kind: str, points: Sequence[Point], names: Sequence[str]
) -> Timings:
    """Pick the rows of a recording that were asked for."""
    if recording is None:
        name = "GPU" if kind == "cuda" else "CPU"
        source = f"Not measured: no {name} here, and no recording from one yet. "
        source += "Where there is one, running this cell measures."
        source += f"\n{measured_elsewhere()}" if kind == "cuda" else ""
        return Timings([], source, tuple(names))
    times = [
        row
        for row in recording.times
        if row.variant in names and any(row.stands_at(point) for point in points)
    ]
    if not times:
        source = f"Not measured at these sizes; recorded is: {recording.birth}."
        return Timings([], source, tuple(names))
    return Timings(times, f"Recorded: {recording.birth}.", tuple(names))


# The one public measurement of these variants on a GPU: somebody else's, until ours is made.
_MILLISECONDS = {
    "loop": 4.68,
    "split": 3.08,
    "one product for q, k and v": 3.81,
    "fused kernel": 1.10,
    "nn.MultiheadAttention": 3.04,
}


def measured_elsewhere() -> str:
    """Cite that measurement, with its machine, its sizes and what is unequal in it.

    Source: https://github.com/rasbt/LLMs-from-scratch, ch03/02_bonus_efficient-multihead-attention
    """
    times = ", ".join(f"{name} {time:.2f} ms" for name, time in _MILLISECONDS.items())
    return (
        "Measured by somebody else (Sebastian Raschka, LLMs-from-scratch, chapter 3), on an A100 "
        f"at N = 8, L = 1024, E = 768, H = 12, forward: {times}. "
        "The variants there do not share their weights."
    )
