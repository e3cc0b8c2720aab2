"""One call to be timed: the same for every clock, with gradients or without."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from cleanformer_lite.timing.backward import run_backward


def make_call(
    variant: Callable[..., Any], inputs: Sequence[Tensor], backward: bool
) -> Callable[[], None]:
    """Return a function of no arguments that makes the call: with gradients, or in inference mode.

    Raises: ValueError, when it is called, if gradients are wanted and the output carries none.
    """

    def with_gradients() -> None:
        run_backward(variant, inputs)

    def forward_only() -> None:
        with torch.inference_mode():
            variant(*inputs)

    return with_gradients if backward else forward_only


def make_timer(call: Callable[[], object]) -> Timer:
    """Return the clock for a call: `torch.utils.benchmark` waits for the GPU at both ends."""
    return Timer("call()", globals={"call": call}, num_threads=1)


def warm_up(timer: Timer) -> float:
    """Make three calls and return what the third took, in seconds: `timeit` drops two by itself."""
    return timer.timeit(1).median
