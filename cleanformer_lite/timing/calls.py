"""One call to be timed: with gradients or without, by one clock, on a heap that is kept."""

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

Inputs = Tensor | Sequence[Tensor]

# From malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
NEVER_TRIM = 2**31 - 1
# Once told, glibc no longer adapts these by itself. Afterwards they get the values at which it
# would have arrived after large tensors were freed.
GROWN_MMAP, GROWN_TRIM, USUAL_MMAPS = 32 * 2**20, 64 * 2**20, 65536


def as_inputs(inputs: Inputs) -> Sequence[Tensor]:
    """Take one tensor for a list of one: `module(*tensor)` would hand over its batch in rows."""
    return [inputs] if isinstance(inputs, Tensor) else inputs


def run_backward(module: Callable[..., Any], inputs: Inputs) -> None:
    """Call `module(*inputs)` and send a gradient back from the sum of its (first) output.

    Old gradients are dropped first: adding to them would be work that a first call has not.

    Raises: ValueError if the output carries no gradient.
    """
    for parameter in module.parameters() if isinstance(module, nn.Module) else ():
        parameter.grad = None
    output = module(*as_inputs(inputs))
    output = output[0] if isinstance(output, tuple) else output
    if not output.requires_grad:
        raise ValueError("wanted an output that carries a gradient, got one that does not")
    output.sum().backward()


def make_call(variant: Callable[..., Any], inputs: Inputs, backward: bool) -> Callable[[], None]:
    """Return a function of no arguments that makes the call: with gradients, or in inference mode.

    Raises: ValueError, when it is called, if gradients are wanted and the output carries none.
    """
    given = as_inputs(inputs)

    def with_gradients() -> None:
        run_backward(variant, given)

    def forward_only() -> None:
        with torch.inference_mode():
            variant(*given)

    return with_gradients if backward else forward_only


def make_timer(call: Callable[[], object]) -> Timer:
    """Return the clock for a call: `torch.utils.benchmark` waits for the GPU at both ends."""
    return Timer("call()", globals={"call": call}, num_threads=1)


def warm_up(timer: Timer) -> float:
    """Make three calls and return what the third took, in seconds: `timeit` drops two by itself."""
    return timer.timeit(1).median


@contextlib.contextmanager
def kept_heap() -> Iterator[bool]:
    """Let the process keep what it frees; yields whether the C library could be told so.

    glibc hands large blocks back to the system when they are freed, and the next call pays a page
    fault for every 4 KiB. That is the allocator's doing and not attention's: it once made the
    written-out split look slower than the loop. Other C libraries have no such switch.
    """
    try:
        library = ctypes.CDLL(None)
        mallopt, trim = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):
        yield False
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, NEVER_TRIM)
    try:
        yield True
    finally:
        mallopt(M_MMAP_MAX, USUAL_MMAPS)
        mallopt(M_MMAP_THRESHOLD, GROWN_MMAP)
        mallopt(M_TRIM_THRESHOLD, GROWN_TRIM)
        trim(0)


def heap_for(inputs: Inputs) -> contextlib.AbstractContextManager[Any]:
    """Keep the heap while a CPU is timed; a GPU's allocator keeps its memory by itself."""
    on_cpu = all(x.device.type == "cpu" for x in as_inputs(inputs))
    return kept_heap() if on_cpu else contextlib.nullcontext()
