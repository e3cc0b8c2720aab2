"""Time several variants in turn, and give their ratios with their spread."""

import datetime
import platform
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from cleanformer_lite.timing.backward import run_backward


@dataclass(repr=False)
class Comparison:
    """Times of variants measured side by side, and where they were measured.

    `seconds` holds one time a round for each variant, in seconds a call; the first variant is the
    one that the ratios refer to.
    """

    seconds: dict[str, list[float]]
    setting: str
    baseline: str = field(init=False)

    def __post_init__(self) -> None:
        self.baseline = next(iter(self.seconds))

    def ratios(self, name: str) -> tuple[float, float, float]:
        """Return lower quartile, median and upper quartile of a variant's time over the first's.

        Each ratio is taken within one round, so that a drift of the machine hits both sides alike.
        """
        pairs = zip(self.seconds[name], self.seconds[self.baseline], strict=True)
        lower, median, upper = statistics.quantiles([ours / theirs for ours, theirs in pairs])
        return lower, median, upper

    def differs(self, name: str) -> bool:
        """Say whether a variant's ratio stays clear of 1: its quartiles lie on one side of it."""
        lower, _, upper = self.ratios(name)
        return lower > 1.0 or upper < 1.0

    def __str__(self) -> str:
        width = max(map(len, self.seconds))
        lines = [f"{'':{width}}  median time   times {self.baseline} (quartiles)"]
        for name, seconds in self.seconds.items():
            lower, median, upper = self.ratios(name)
            line = f"{name:{width}}  {1e6 * statistics.median(seconds):8.0f} us   {median:.2f}"
            if name != self.baseline:
                line += f" ({lower:.2f} to {upper:.2f})"
                line += "" if self.differs(name) else "  no difference seen"
            lines.append(line)
        return "\n".join([*lines, self.setting])

    def __repr__(self) -> str:
        return str(self)  # so that a notebook shows the table


def compare(
    variants: Mapping[str, Callable[..., Any]],
    inputs: Sequence[Tensor] | Mapping[str, Sequence[Tensor]],
    *,
    backward: bool = False,
    rounds: int = 25,
    block_seconds: float = 0.01,
) -> Comparison:
    """Time `variant(*inputs)` for every variant, in short blocks that take turns.

    Every variant is warmed up first; in each round each gets one block of about `block_seconds`, in
    a fresh order. One CPU thread; a GPU is waited for at both ends of a block. `inputs` are for all
    variants alike, or a mapping from a variant's name to its own.

    Units: seconds.

    Raises: ValueError for no variants, fewer than two rounds, or names that do not match.

    Source: interleaving as in Chen & Revels (2016), "Robust benchmarking in noisy environments".
    """
    if not variants or rounds < 2:
        raise ValueError(
            f"wanted a variant and two rounds at least, got {len(variants)} and {rounds}"
        )
    given = inputs if isinstance(inputs, Mapping) else dict.fromkeys(variants, inputs)
    if given.keys() != variants.keys():
        raise ValueError(f"wanted inputs for {list(variants)}, got inputs for {list(given)}")
    timers = {name: _timer(variants[name], given[name], backward) for name in variants}
    numbers = {name: _calls_in(timer, block_seconds) for name, timer in timers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(timers), len(timers)):
            seconds[name].append(timers[name].timeit(numbers[name]).median)
    return Comparison(seconds, describe_setting(given, backward))


def _timer(variant: Callable[..., Any], inputs: Sequence[Tensor], backward: bool) -> Timer:
    """Make the clock for one variant: `torch.utils.benchmark` waits for the GPU by itself."""

    def call() -> None:
        if backward:
            run_backward(variant, inputs)
            return
        with torch.inference_mode():
            variant(*inputs)

    return Timer("call()", globals={"call": call}, num_threads=1)


def _calls_in(timer: Timer, seconds: float) -> int:
    """Warm up with three calls, then say how many calls fill `seconds`, one at least."""
    once = min(timer.timeit(1).median for _ in range(3))
    return max(1, round(seconds / once))


def describe_setting(given: Mapping[str, Sequence[Tensor]], backward: bool) -> str:
    """Say what was timed and on what: without it a time means nothing."""
    tensors = [x for inputs in given.values() for x in inputs]
    device = tensors[0].device
    name = f"one {platform.machine()} CPU thread"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    direction = "forward and backward" if backward else "forward"
    shapes = ", ".join(dict.fromkeys(str(tuple(x.shape)) for x in tensors))
    dtype = str(tensors[0].dtype).removeprefix("torch.")
    today = datetime.date.today().isoformat()
    return f"{direction} on {shapes} {dtype}, {name}, torch {torch.__version__}, {today}"
