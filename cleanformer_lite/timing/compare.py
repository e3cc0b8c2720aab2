"""Time several variants in turn, and give their ratios with their spread."""

import contextlib
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from cleanformer_lite.timing.calls import make_call, make_timer, warm_up
from cleanformer_lite.timing.kept_heap import heap_for
from cleanformer_lite.timing.quartiles import Quartiles, in_time
from cleanformer_lite.timing.same_function import largest_gap
from cleanformer_lite.timing.setting import Setting, describe_setting

Inputs = Sequence[Tensor] | Mapping[str, Sequence[Tensor]]


@dataclass(repr=False)
class Comparison:
    """Times of variants measured side by side, and where they were measured.

    `seconds` holds one time a round for each variant, in seconds a call; the first variant is the
    one that the ratios refer to. `gap` is how far their outputs lay apart, None if that was not
    compared.
    """

    seconds: dict[str, list[float]]
    setting: Setting | str
    gap: float | None = None
    baseline: str = field(init=False)

    def __post_init__(self) -> None:
        self.baseline = next(iter(self.seconds))

    def times(self, name: str) -> Quartiles:
        """Return the quartiles of a variant's time."""
        return Quartiles.of(self.seconds[name])

    def ratios(self, name: str) -> Quartiles:
        """Return the quartiles of a variant's time over the first's.

        Each ratio is taken within one round, so that a drift of the machine hits both sides alike.
        """
        pairs = zip(self.seconds[name], self.seconds[self.baseline], strict=True)
        return Quartiles.of([ours / theirs for ours, theirs in pairs])

    def differs(self, name: str) -> bool:
        """Say whether a variant's ratio stays clear of 1: its quartiles lie on one side of it."""
        lower, _, upper = self.ratios(name)
        return lower > 1.0 or upper < 1.0

    def __str__(self) -> str:
        width = max(map(len, self.seconds))
        lines = [f"{'':{width}}  median time   times {self.baseline} (quartiles)"]
        for name in self.seconds:
            lower, median, upper = self.ratios(name)
            line = f"{name:{width}}  {in_time(self.times(name).median):>11}   {median:.2f}"
            if name != self.baseline:
                line += f" ({lower:.2f} to {upper:.2f})"
                line += "" if self.differs(name) else "  no difference seen"
            lines.append(line)
        agreed = "" if self.gap is None else f"; outputs agree to {self.gap:.0e}"
        agreed = "; outputs are equal" if self.gap == 0 else agreed
        rounds = len(self.seconds[self.baseline])
        return "\n".join([*lines, f"{self.setting},\n{rounds} rounds{agreed}"])

    def __repr__(self) -> str:
        return str(self)  # so that a notebook shows the table


def compare(
    variants: Mapping[str, Callable[..., Any]],
    inputs: Inputs,
    *,
    backward: bool = False,
    rounds: int = 25,
    block_seconds: float = 0.01,
    different: Collection[str] = (),
    watch: Callable[[Comparison], bool] = lambda found: False,
) -> Comparison:
    """Time `variant(*inputs)` for every variant, in short blocks that take turns.

    First all variants must give the same output, but for those named in `different`: a time beside
    another means something for one function only. Every variant is warmed up; in each round each
    gets one block of about `block_seconds`, in a fresh order. One CPU thread; a GPU is waited for
    at both ends of a block. `inputs` are for all variants alike, or a mapping from a variant's name
    to its own. Interrupted, it keeps the whole rounds that it has, if there are any. `watch` is
    called after each round with what there is so far; if it returns True, that round is the last.

    Units: seconds.

    Raises: ValueError for no variants, fewer than two rounds, names that do not match, or variants
        that do not compute the same.

    Source: interleaving as in Chen & Revels (2016), "Robust benchmarking in noisy environments".
    """
    if not variants or rounds < 2:
        raise ValueError(
            f"wanted a variant and two rounds at least, got {len(variants)} and {rounds}"
        )
    given = inputs if isinstance(inputs, Mapping) else dict.fromkeys(variants, inputs)
    if given.keys() != variants.keys():
        raise ValueError(f"wanted inputs for {list(variants)}, got inputs for {list(given)}")
    tensors = [x for own in given.values() for x in own]
    setting = describe_setting(tensors, backward, variants.values())
    gap = largest_gap(variants, given, different)
    calls = {name: make_call(variants[name], given[name], backward) for name in variants}
    found = Comparison({name: [] for name in variants}, setting, gap)
    with heap_for(tensors), contextlib.suppress(KeyboardInterrupt):
        for one in take_turns(calls, rounds, block_seconds):
            for name, seconds in one.items():
                found.seconds[name].append(seconds)
            if watch(found):
                break
    if len(found.seconds[found.baseline]) == 0:
        raise KeyboardInterrupt  # nothing to keep
    return found


def take_turns(
    calls: Mapping[str, Callable[[], None]], rounds: int, block_seconds: float
) -> Iterator[dict[str, float]]:
    """Yield one round after another: each call's time, taken in a fresh order.

    Units: seconds a call.
    """
    timers = {name: make_timer(call) for name, call in calls.items()}
    numbers = {
        name: max(1, round(block_seconds / warm_up(timer))) for name, timer in timers.items()
    }
    order = random.Random(0)
    for _ in range(rounds):
        turns = order.sample(list(timers), len(timers))
        yield {name: timers[name].timeit(numbers[name]).median for name in turns}
