"""Time variants over many shapes: one point after another, each a comparison of its own."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cleanformer_lite.timing.calls import make_call
from cleanformer_lite.timing.compare import Comparison, compare
from cleanformer_lite.timing.device_time import count_launches
from cleanformer_lite.timing.floor import Rates, Shape, floor_seconds
from cleanformer_lite.timing.measure import replayed
from cleanformer_lite.timing.memory import peak_memory
from cleanformer_lite.timing.operators import count_operators, name_kernel
from cleanformer_lite.timing.quartiles import Quartiles
from cleanformer_lite.timing.setting import name_dtype
from cleanformer_lite.timing.variants import COMPILED, DIFFERENT, build_variants

SAMPLES = 15  # replays of a CUDA graph


@dataclass(frozen=True)
class Point:
    """What a comparison is made at: sizes, dtype and direction."""

    shape: Shape
    dtype: torch.dtype = torch.float32
    backward: bool = False


@dataclass(frozen=True)
class Row:
    """One variant at one point. Times are in seconds, memory in bytes; None: not applicable here.

    `ratio` is the time over that of the point's first variant, taken round by round.
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
    operators: int | None
    kernel: str | None
    peak_memory: int | None
    floor: float
    device_time: Quartiles | None
    launches: int | None
    compile_time: float | None

    def stands_at(self, point: Point) -> bool:
        """Say whether this row was measured at a point."""
        shape = Shape(self.batch, self.length, self.embed_dim, self.num_heads)
        ours = (shape, self.dtype, self.backward)
        return ours == (point.shape, name_dtype(point.dtype), point.backward)


def sweep(
    points: Sequence[Point],
    names: Sequence[str],
    rates: dict[str, Rates],
    *,
    device: torch.device | str = "cpu",
    rounds: int = 25,
    block_seconds: float = 0.01,
) -> Iterator[list[Row]]:
    """Yield the rows of one point after another; stop whenever you like and keep what you have.

    An interrupt ends it after the point that it falls into.

    `rates` gives a machine's rates for each dtype, for the floor.

    Raises: ValueError for an unknown variant, or variants that do not compute the same.
    """
    for point in points:
        shape = point.shape
        torch.manual_seed(0)
        x = torch.randn(shape.batch, shape.length, shape.embed_dim, device=device).to(point.dtype)
        variants = build_variants(
            names, shape.embed_dim, shape.num_heads, device=device, dtype=point.dtype
        )
        compiling = {
            name: first_call(variant, x, point.backward)
            for name, variant in variants.items()
            if name.endswith(COMPILED)
        }
        found = compare(
            variants,
            [x],
            backward=point.backward,
            rounds=rounds,
            block_seconds=block_seconds,
            different=[name for name in variants if name.removesuffix(COMPILED) in DIFFERENT],
        )
        rate = rates[name_dtype(point.dtype)]
        least = floor_seconds(shape, rate, x.element_size(), backward=point.backward)
        yield [
            row(name, variant, x, point, found, least, compiling.get(name))
            for name, variant in variants.items()
        ]
        if len(found.seconds[names[0]]) < rounds:
            return  # somebody interrupted: these rows are the last


def first_call(variant: nn.Module, x: Tensor, backward: bool) -> float:
    """Return the seconds that a compiled variant's first call takes, compiling included."""
    began = time.perf_counter()
    make_call(variant, [x], backward)()
    return time.perf_counter() - began


def row(
    name: str,
    variant: nn.Module,
    x: Tensor,
    point: Point,
    found: Comparison,
    least: float,
    compile_time: float | None,
) -> Row:
    """Put down what was found of one variant, and count what can be counted."""
    call = make_call(variant, [x], point.backward)
    on_gpu = x.device.type == "cuda"
    device = replayed(call, SAMPLES) if on_gpu else None
    # What compiling makes of a module runs as one piece: there is nothing in it to count.
    whole = not name.endswith(COMPILED)
    return Row(
        variant=name,
        batch=point.shape.batch,
        length=point.shape.length,
        embed_dim=point.shape.embed_dim,
        num_heads=point.shape.num_heads,
        dtype=name_dtype(point.dtype),
        backward=point.backward,
        time=found.times(name),
        ratio=found.ratios(name),
        rounds=len(found.seconds[name]),
        operators=count_operators(variant, [x], backward=point.backward).compute if whole else None,
        kernel=name_kernel(variant, [x]) if whole else None,
        peak_memory=peak_memory(variant, [x], backward=point.backward) if whole else None,
        floor=least,
        device_time=None if device is None else Quartiles.of(device),
        launches=count_launches(call) if on_gpu else None,
        compile_time=compile_time,
    )
