"""Time several variants in turn, and give their ratios with their spread."""

import contextlib
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.threads import one_thread
from cleanformer_lite.timing.calls import (
    Inputs,
    as_inputs,
    heap_for,
    make_call,
    make_timer,
    warm_up,
)
from cleanformer_lite.timing.counts import WRITTEN_OUT, OperatorCounter
from cleanformer_lite.timing.pictures import draw_bars
from cleanformer_lite.timing.units import Quartiles, Setting, describe_setting, in_time

# How far apart two right ways of computing may lie, against the largest output: rounding.
TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 1e-2,
    torch.bfloat16: 5e-2,
}


@dataclass(repr=False)
class Comparison:
    """Times of variants measured side by side, and where they were measured.

    `seconds` holds one time a round for each variant, in seconds a call; the first variant is the
    one that the ratios refer to. `gap` is how far their outputs lay apart, None if that was not
    compared. `kernels` names how each attended, as far as that is known.
    """

    seconds: dict[str, list[float]]
    setting: Setting | str
    gap: float | None = None
    kernels: dict[str, str] = field(default_factory=dict)
    baseline: str = field(init=False)

    def __post_init__(self) -> None:
        self.baseline = next(iter(self.seconds))

    @property
    def rounds(self) -> int:
        """Return how many rounds every variant has had."""
        return min(map(len, self.seconds.values()))

    def times(self, name: str) -> Quartiles:
        """Return the quartiles of a variant's time."""
        return Quartiles.of(self.seconds[name])

    def ratios(self, name: str) -> Quartiles:
        """Return the quartiles of a variant's time relative to the first's.

        Each ratio is taken within one round, so that a drift of the machine hits both sides alike.
        """
        pairs = zip(self.seconds[name], self.seconds[self.baseline], strict=True)
        return Quartiles.of([ours / theirs for ours, theirs in pairs])

    def differs(self, name: str) -> bool:
        """Say whether a variant's ratio stays clear of 1: its quartiles lie on one side of it."""
        lower, _, upper = self.ratios(name)
        return lower > 1.0 or upper < 1.0

    def ratio_text(self, name: str) -> str:
        """Write a variant's ratio with its quartiles, and say if no difference is to be seen."""
        lower, median, upper = self.ratios(name)
        if name == self.baseline:
            return f"{median:.2f}"
        text = f"{median:.2f} ({lower:.2f} to {upper:.2f})"
        return text if self.differs(name) else f"{text}  no difference seen"

    def kernel(self, name: str) -> str:
        """Name how a variant attended; empty where none of them used a fused kernel."""
        fused = any(kernel != WRITTEN_OUT for kernel in self.kernels.values())
        return self.kernels.get(name, "") if fused else ""

    def birth(self) -> str:
        """Say how the times were taken, on what, and how far the outputs agree."""
        agreed = "" if self.gap is None else f"; outputs agree to {self.gap:.0e}"
        agreed = "; outputs are equal" if self.gap == 0 else agreed
        return f"{self.setting},\n{self.rounds} rounds{agreed}"

    def __str__(self) -> str:
        width = max(map(len, self.seconds))
        kernels = max((len(self.kernel(name)) for name in self.seconds), default=0)
        space = f"  {'attention':{max(kernels, 9)}}" if kernels else ""
        lines = [f"{'':{width}}  median time{space}   times {self.baseline} (quartiles)"]
        for name in self.seconds:
            kernel = f"  {self.kernel(name):{max(kernels, 9)}}" if kernels else ""
            took = in_time(self.times(name).median)
            lines.append(f"{name:{width}}  {took:>11}{kernel}   {self.ratio_text(name)}")
        return "\n".join([*lines, self.birth()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """Draw bars on one scale that starts at 0, each with a line from quartile to quartile."""
        bars = {
            name: (self.times(name), (in_time(self.times(name).median), self.ratio_text(name),
                                      self.kernel(name)))
            for name in self.seconds
        }  # fmt: skip
        columns = ("median time", f"relative to {self.baseline}", "attention")
        return draw_bars(bars, columns, self.birth())


def compare(
    variants: Mapping[str, Callable[..., Any]],
    inputs: Inputs | Mapping[str, Inputs],
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
    Turns spread a machine's drift over all variants, and medians leave out what hits a few blocks.

    Units: seconds.

    Raises: ValueError for no variants, fewer than two rounds, names that do not match, or variants
        that do not compute the same.
    """
    with one_thread():
        found, turns = start_comparison(
            variants, inputs, backward=backward, rounds=rounds, block_seconds=block_seconds,
            different=different,
        )  # fmt: skip
        with heap_for(_all_tensors(variants, inputs)), contextlib.suppress(KeyboardInterrupt):
            for done in turns:
                if done and watch(found):
                    break
    if found.rounds == 0:
        raise KeyboardInterrupt  # nothing to keep
    return found


def start_comparison(
    variants: Mapping[str, Callable[..., Any]],
    inputs: Inputs | Mapping[str, Inputs],
    *,
    backward: bool = False,
    rounds: int = 25,
    block_seconds: float = 0.01,
    different: Collection[str] = (),
) -> tuple[Comparison, Iterator[bool]]:
    """Prepare a comparison for whoever times it bit by bit: `compare` does so in one go.

    Returns the comparison, without any times yet, and an iterator. Each of its steps times one
    block and says whether a round became whole with it; only then has the comparison grown.

    Raises: ValueError as `compare` does.
    """
    if not variants or rounds < 2:
        raise ValueError(
            f"wanted a variant and two rounds at least, got {len(variants)} and {rounds}"
        )
    given = inputs if isinstance(inputs, Mapping) else dict.fromkeys(variants, inputs)
    if given.keys() != variants.keys():
        raise ValueError(f"wanted inputs for {list(variants)}, got inputs for {list(given)}")
    tensors = _all_tensors(variants, given)
    setting = describe_setting(tensors, backward, variants.values())
    gap, kernels = compare_outputs(variants, given, different)
    calls = {name: make_call(variants[name], given[name], backward) for name in variants}
    found = Comparison({name: [] for name in variants}, setting, gap, kernels)
    return found, _take_turns(found, calls, rounds, block_seconds)


def _all_tensors(
    variants: Mapping[str, Callable[..., Any]], inputs: Inputs | Mapping[str, Inputs]
) -> Sequence[Tensor]:
    if not isinstance(inputs, Mapping):
        return as_inputs(inputs)
    return [x for name in variants for x in as_inputs(inputs[name])]


def _take_turns(
    found: Comparison, calls: Mapping[str, Callable[[], None]], rounds: int, block_seconds: float
) -> Iterator[bool]:
    """Time one block after another, in a fresh order each round; keep whole rounds."""
    timers = {name: make_timer(call) for name, call in calls.items()}
    numbers: dict[str, int] = {}
    order = random.Random(0)
    for _ in range(rounds):
        times: dict[str, float] = {}
        for name in order.sample(list(timers), len(timers)):
            if name not in numbers:
                numbers[name] = max(1, round(block_seconds / warm_up(timers[name])))
            times[name] = timers[name].timeit(numbers[name]).median
            whole = len(times) == len(timers)
            for one in found.seconds if whole else ():
                found.seconds[one].append(times[one])
            yield whole


def compare_outputs(
    variants: Mapping[str, Callable[..., Any]],
    inputs: Mapping[str, Inputs],
    different: Collection[str] = (),
) -> tuple[float | None, dict[str, str]]:
    """Call every variant once; return how far outputs lie apart, and which kernel attended in each.

    The gap is that of any variant to the first, relative to the largest output. Variants named in
    `different` are left out of it; it is None where fewer than two are left.

    Raises: ValueError naming the variant whose output lies further away than rounding explains.
    """
    unknown = [name for name in different if name not in variants]
    if unknown:
        raise ValueError(f"wanted names out of {list(variants)} in `different`, got {unknown}")
    kernels: dict[str, str] = {}
    gaps: list[float] = []
    first: tuple[str, Tensor] | None = None
    for name, variant in variants.items():
        output, kernels[name] = _call_once(variant, inputs[name])
        if name in different:
            continue
        if first is None:
            first = name, output
            continue
        gaps.append(gap_between(output, first[1]))
        # Written so that NaN, which no comparison holds for, is refused too.
        if not gaps[-1] <= TOLERANCE.get(first[1].dtype, 0.0):
            raise ValueError(
                f"wanted variants that compute the same, got {name!r} {gaps[-1]:.2g} away from "
                f"{first[0]!r}.\ncopy_weights gives two modules one set of weights; eval() "
                "switches dropout off;\nwhat is meant to differ is named in `different`"
            )
    return max(gaps, default=None), kernels


def _call_once(variant: Callable[..., Any], inputs: Inputs) -> tuple[Tensor, str]:
    """Return the (first) output of one call without gradients, and the kernel that attended in it.

    What compiling makes of a module runs as one piece: there is nothing in it to see.
    """
    compiled = type(variant).__name__ == "OptimizedModule"
    counter = OperatorCounter()
    # Not in inference mode: there the kernel that attends stays hidden inside one operator.
    with torch.no_grad(), contextlib.nullcontext() if compiled else counter:
        output = variant(*as_inputs(inputs))
    kernel = "compiled" if compiled else counter.kernel()
    return output[0] if isinstance(output, tuple) else output, kernel


def gap_between(output: Tensor, expected: Tensor) -> float:
    """Return the largest difference against the largest expected number; infinite for two shapes.

    Shapes: both the same, of any rank.
    """
    if output.shape != expected.shape:
        return float("inf")
    size = expected.double().abs().max().item()
    difference = (output.double() - expected.double()).abs().max().item()
    return difference / max(size, 1e-300)
