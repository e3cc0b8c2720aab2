"""SPECIMENS: ways of timing that are wrong on purpose, and how far off each one is here."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cleanformer_lite.threads import one_thread
from cleanformer_lite.timing.calls import make_call, make_timer, warm_up
from cleanformer_lite.timing.compare import compare
from cleanformer_lite.timing.units import Quartiles

ROUNDS = 15
FIRST_CALLS = 5


@dataclass(frozen=True)
class WrongWay:
    """One wrong way. `off`: its time relative to the right one; None where it cannot be seen."""

    name: str
    why: str
    off: Quartiles | None

    def __str__(self) -> str:
        if self.off is None:
            found = "only a GPU shows it"
        else:
            found = f"{self.off.median:.2f} times the right time"
            found += f" ({self.off.lower:.2f} to {self.off.upper:.2f})"
            if self.off.lower <= 1.0 <= self.off.upper:
                found += ", no difference seen here"
        return f"{self.name}: {found}.\n   {self.why}"


@one_thread()
def wrong_ways(build: Callable[[], nn.Module], x: Tensor) -> list[WrongWay]:
    """Time a module with an `out_proj` in four wrong ways, each relative to the right one.

    Shapes: x `(N, L, E)`.
    """
    return [
        first_calls_included(build, x),
        without_waiting(build(), x),
        on_zeros(build(), x),
        another_function(build(), x),
    ]


def first_calls_included(build: Callable[[], nn.Module], x: Tensor) -> WrongWay:
    """Average over the first five calls of a module that was just built."""
    ratios = []
    for _ in range(ROUNDS):
        call = make_call(build(), [x], backward=False)
        began = time.perf_counter()
        for _ in range(FIRST_CALLS):
            call()
        _wait(x)
        wrong = (time.perf_counter() - began) / FIRST_CALLS
        ratios.append(wrong / _right(call))
    why = "The first calls fetch weights into caches, and choose and load kernels."
    return WrongWay("first calls included", why, Quartiles.of(ratios))


def without_waiting(module: nn.Module, x: Tensor) -> WrongWay:
    """Stop the clock when a GPU has been told what to do, rather than when it has done it."""
    why = "A call returns as soon as its kernels are in the queue."
    if x.device.type != "cuda":
        return WrongWay("no synchronise", why, None)
    call = make_call(module, [x], backward=False)
    ratios = []
    for _ in range(ROUNDS):
        right = _right(call)
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        ratios.append((time.perf_counter() - began) / right)
    torch.cuda.synchronize()
    return WrongWay("no synchronise", why, Quartiles.of(ratios))


def on_zeros(module: nn.Module, x: Tensor) -> WrongWay:
    """Time on zeros in place of numbers as they come."""
    found = compare(
        {"numbers": module, "zeros": module},
        {"numbers": [x], "zeros": [torch.zeros_like(x)]},
        rounds=ROUNDS,
        different=["zeros"],
    )
    why = "Switching few bits, a GPU draws less power and may clock higher."
    return WrongWay("zeros as input", why, found.ratios("zeros"))


def another_function(module: nn.Module, x: Tensor) -> WrongWay:
    """Time a variant that leaves something out: here the output projection."""
    lacking = copy.copy(module)
    lacking._modules = {**module._modules}  # or the copy would share them
    lacking.out_proj = nn.Identity()
    found = compare(
        {"whole": module, "lacking": lacking}, [x], rounds=ROUNDS, different=["lacking"]
    )
    why = "Nobody had checked that both compute the same: one has no output projection."
    return WrongWay("unequal weights", why, found.ratios("lacking"))


def _right(call: Callable[[], None]) -> float:
    """Time a call as it should be: warmed up, waited for, the median of several."""
    timer = make_timer(call)
    warm_up(timer)
    return statistics.median(timer.timeit(5).median for _ in range(5))


def _wait(x: Tensor) -> None:
    if x.device.type == "cuda":
        torch.cuda.synchronize()
