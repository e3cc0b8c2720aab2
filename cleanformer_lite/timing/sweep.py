"""Time variants over many shapes: one point after another, each a comparison of its own."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cleanformer_lite.threads import one_thread
from cleanformer_lite.timing.calls import make_call
from cleanformer_lite.timing.compare import Comparison, compare
from cleanformer_lite.timing.counts import count_operators, peak_memory
from cleanformer_lite.timing.gpu import count_launches, free_bytes, replayed
from cleanformer_lite.timing.paper import Rates, floor_seconds
from cleanformer_lite.timing.units import Quartiles, name_dtype
from cleanformer_lite.timing.variants import (
    COMPILED,
    Shape,
    build_variants,
    names_that_differ,
    score_bytes,
)

SAMPLES = 15  # replays of a CUDA graph
CPU_BYTES = 4 * 2**30  # of scores that are held at once, at most
SPARE = 0.8  # of a card's free memory: inputs, weights and the allocator's rounding need some


@dataclass(frozen=True)
class Point:
    """What a comparison is made at: sizes, dtype and direction."""

    shape: Shape
    dtype: torch.dtype = torch.float32
    backward: bool = False


@dataclass(frozen=True)
class Row:
    """One variant at one point. Times are in seconds, memory in bytes; None: not applicable here.

    `ratio` is the time relative to that of the point's first variant, taken round by round. What
    has a default may be missing in a recording of an older version.
    """

    variant: str
    batch: int
    length: int
    embed_dim: int
    num_heads: int
    dtype: str
    backward: bool
    time: Quartiles
    ratio: Quartiles
    rounds: int
    operators: int | None = None
    kernel: str | None = None
    peak_memory: int | None = None
    floor: float | None = None
    device_time: Quartiles | None = None
    launches: int | None = None
    compile_time: float | None = None

    def stands_at(self, point: Point) -> bool:
        """Say whether this row was measured at a point."""
        shape = Shape(self.batch, self.length, self.embed_dim, self.num_heads)
        ours = (shape, self.dtype, self.backward)
        return ours == (point.shape, name_dtype(point.dtype), point.backward)


def names_that_fit(
    names: Sequence[str], shape: Shape, itemsize: int, device: torch.device | str
) -> list[str]:
    """Leave out the variants whose scores, of all heads at once, a device has no memory for."""
    on_gpu = torch.device(device).type == "cuda"
    most = SPARE * free_bytes(device) if on_gpu else CPU_BYTES
    return [name for name in names if score_bytes(name, shape, itemsize) <= most]


def sweep(
    points: Sequence[Point],
    names: Sequence[str],
    rates: Mapping[str, Rates],
    *,
    device: torch.device | str = "cpu",
    rounds: int = 25,
    block_seconds: float = 0.01,
    watch: Callable[[Comparison], bool] = lambda found: False,
) -> Iterator[list[Row]]:
    """Yield the rows of one point after another; stop whenever you like and keep what you have.

    An interrupt, or `watch` returning True as in `compare`, ends it after the point that it falls
    into. A variant that the device has no memory for gets no row. `rates` gives a machine's rates
    for each dtype, for the floor.

    Raises: ValueError for an unknown variant, or variants that do not compute the same.
    """
    for point in points:
        fitting = names_that_fit(names, point.shape, point.dtype.itemsize, device)
        if not fitting:
            yield []
            continue
        with one_thread():
            found, at_point = _measure_point(
                point, fitting, rates[name_dtype(point.dtype)], device, rounds, block_seconds, watch
            )
        yield at_point
        if found.rounds < rounds:
            return  # somebody ended it: these rows are the last


def _measure_point(
    point: Point,
    names: Sequence[str],
    rates: Rates,
    device: torch.device | str,
    rounds: int,
    block_seconds: float,
    watch: Callable[[Comparison], bool],
) -> tuple[Comparison, list[Row]]:
    """Build, compile, compare and count the variants at one point."""
    shape = point.shape
    torch.manual_seed(0)
    x = torch.randn(shape.batch, shape.length, shape.embed_dim, device=device).to(point.dtype)
    variants = build_variants(
        names, shape.embed_dim, shape.num_heads, device=device, dtype=point.dtype
    )
    compiling = {
        name: _first_call(variant, x, point.backward)
        for name, variant in variants.items()
        if name.endswith(COMPILED)
    }
    found = compare(
        variants, x, backward=point.backward, rounds=rounds, block_seconds=block_seconds,
        different=names_that_differ(names), watch=watch,
    )  # fmt: skip
    return found, [
        _as_row(name, variant, x, point, found, rates, compiling.get(name))
        for name, variant in variants.items()
    ]


def _first_call(variant: nn.Module, x: Tensor, backward: bool) -> float:
    """Return the seconds that a compiled variant's first call takes, compiling included."""
    began = time.perf_counter()
    make_call(variant, x, backward)()
    return time.perf_counter() - began


def _as_row(
    name: str,
    variant: nn.Module,
    x: Tensor,
    point: Point,
    found: Comparison,
    rates: Rates,
    compile_time: float | None,
) -> Row:
    """Put down what was found of one variant, and count what can be counted."""
    backward, call = point.backward, make_call(variant, x, point.backward)
    on_gpu = x.device.type == "cuda"
    device = replayed(call, SAMPLES) if on_gpu else None
    # What compiling makes of a module runs as one piece: there is nothing in it to count.
    whole = not name.endswith(COMPILED)
    floor = floor_seconds(point.shape, rates, x.element_size(), variant=name, backward=backward)
    return Row(
        variant=name,
        batch=point.shape.batch,
        length=point.shape.length,
        embed_dim=point.shape.embed_dim,
        num_heads=point.shape.num_heads,
        dtype=name_dtype(point.dtype),
        backward=backward,
        time=found.times(name),
        ratio=found.ratios(name),
        rounds=found.rounds,
        operators=count_operators(variant, x, backward=backward).compute if whole else None,
        kernel=found.kernels[name] if whole else None,
        peak_memory=peak_memory(variant, x, backward=backward) if whole else None,
        floor=floor,
        device_time=None if device is None else Quartiles.of(device),
        launches=count_launches(call) if on_gpu else None,
        compile_time=compile_time,
    )
