"""Keep freed memory in the process while a CPU is timed, so that its return is not what is timed.

glibc hands large blocks back to the system when they are freed. The next call then pays a page
fault for every 4 KiB. At L = 1024 and more that makes the written-out split look slower than the
loop, which is the allocator's doing and not attention's.
"""

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

LONG = 1024  # below this length the blocks are too small to be handed back

# From malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
NEVER_TRIM = 2**31 - 1
# Once told, glibc no longer adapts these by itself. Afterwards they get the values at which it
# would have arrived after large tensors were freed.
GROWN_MMAP, GROWN_TRIM, USUAL_MMAPS = 32 * 2**20, 64 * 2**20, 65536


@contextlib.contextmanager
def kept_heap() -> Iterator[bool]:
    """Let the process keep what it frees; yields whether the C library could be told so.

    Other C libraries than glibc have no such switch: there nothing changes.
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


def heap_for(inputs: Sequence[Tensor]) -> contextlib.AbstractContextManager[Any]:
    """Keep the heap where a CPU works on long sequences: where axis -2 of an input is long."""
    long = any(x.dim() >= 2 and x.shape[-2] >= LONG for x in inputs)
    on_cpu = all(x.device.type == "cpu" for x in inputs)
    return kept_heap() if long and on_cpu else contextlib.nullcontext()
