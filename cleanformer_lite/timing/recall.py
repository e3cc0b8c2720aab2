"""Times measured here and now, or recorded elsewhere, or "not measured": never without a label."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from cleanformer_lite.timing.floor import Shape, measure_rates
from cleanformer_lite.timing.quartiles import in_time
from cleanformer_lite.timing.recordings import Recording, find_recording
from cleanformer_lite.timing.setting import describe_setting, name_dtype
from cleanformer_lite.timing.sweep import Point, Row, sweep

NAMES = ("fused", "split", "looped")
QUICK, THOROUGH = (9, 0.005), (25, 0.02)  # rounds, and seconds a block


@dataclass(frozen=True)
class Timings:
    """Rows of times and where they come from; without rows, why there are none.

    `names` are the variants that were asked for, the one that the others are set over first.
    """

    rows: list[Row]
    source: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        if not self.rows:
            return self.source
        names = self.names
        head = f"{'length':>6} {'heads':>5}  {'time of ' + names[0]:>16}"
        lines = [head + "".join(f"  {name:>24}" for name in names[1:])]
        for length, heads in dict.fromkeys((row.length, row.num_heads) for row in self.rows):
            found = {r.variant: r for r in self.rows if (r.length, r.num_heads) == (length, heads)}
            first = found.get(names[0])
            took = "not measured" if first is None else in_time(first.time.median)
            line = f"{length:6} {heads:5}  {took:>16}"
            lines.append(line + "".join(f"  {_times(found.get(name)):>24}" for name in names[1:]))
        return "\n".join([*lines, f"Other columns: times {names[0]}.\n{self.source}"])

    def __repr__(self) -> str:
        return str(self)  # so that a notebook shows it


def _times(row: Row | None) -> str:
    """Write a ratio with its quartiles, or that there is no difference to be seen."""
    if row is None:
        return "not measured"
    lower, median, upper = row.ratio
    same = " =" if lower <= 1.0 <= upper else ""
    return f"{median:.2f} ({lower:.2f} to {upper:.2f}){same}"


def measure_or_recall(
    names: Sequence[str] = NAMES,
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

    Without `live` it is always recalled. Unless it is given, `dtype` is bfloat16 on a GPU and
    float32 on a CPU. A quick run takes fewer, shorter rounds. Interrupted, it returns what it has.

    Raises: ValueError for an unknown variant, sizes that do not fit or are none, or another device
        than "cuda" and "cpu".
    """
    if device not in ("cuda", "cpu"):
        raise ValueError(f"wanted device 'cuda' or 'cpu', got {device!r}")
    dtype = dtype or (torch.bfloat16 if device == "cuda" else torch.float32)
    points = [
        Point(Shape(batch, length, embed_dim, count), dtype, backward)
        for length in lengths
        for count in heads
    ]
    if not points:
        raise ValueError("wanted a length and a number of heads, got none")
    if not live or (device == "cuda" and not torch.cuda.is_available()):
        return recall(find_recording(device), device, points, names)
    return measure_points(points, names, device, quick)


def measure_points(
    points: Sequence[Point], names: Sequence[str], device: str, quick: bool
) -> Timings:
    """Measure the points one by one, with a progress bar, until they are done or it must end."""
    rounds, block_seconds = QUICK if quick else THOROUGH
    dtype = points[0].dtype
    rates = {name_dtype(dtype): measure_rates(device, dtype)}
    found = sweep(points, names, rates, device=device, rounds=rounds, block_seconds=block_seconds)
    rows: list[Row] = []
    reason = "interrupted"
    try:
        for at_one_point in with_progress(found, len(points)):
            rows += at_one_point
    except KeyboardInterrupt:
        pass
    except torch.OutOfMemoryError:
        reason = "no memory left"
    asked = len(points) * len(names)
    missing = "" if len(rows) == asked else f"; {reason} after {len(rows)} of {asked} times"
    shape = points[0].shape
    setting = describe_setting([torch.empty(0, device=device, dtype=dtype)], points[0].backward)
    setting = replace(setting, shapes=f"N = {shape.batch}, E = {shape.embed_dim}")
    return Timings(rows, f"Measured now: {setting}{missing}.", tuple(names))


def with_progress(found: Iterator[list[Row]], total: int) -> Iterator[list[Row]]:
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
        source = f"Not measured: no {name} here, and no recording from one yet."
        return Timings([], source, tuple(names))
    rows = [
        row
        for row in recording.rows
        if row.variant in names and any(row.stands_at(point) for point in points)
    ]
    if not rows:
        source = f"Not measured at these sizes; recorded is: {recording.birth}."
        return Timings([], source, tuple(names))
    return Timings(rows, f"Recorded: {recording.birth}.", tuple(names))
