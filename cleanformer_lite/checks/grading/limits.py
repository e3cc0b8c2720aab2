"""Limit the time, memory and disk space of one answer."""

import math
import resource
from dataclasses import asdict, dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The limits of one answer: seconds (of clock and processor), MiB, bytes, processes.

    `memory` is added to what Python and torch already use. `result` limits what an answer may send
    back, `files` the size of one file, `processes` the number of further processes.
    """

    seconds: float = 10.0
    memory: int = 2048
    result: int = 16 * MIB
    files: int = 16 * MIB
    processes: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"wanted a time limit above 0 seconds, got {self.seconds}")
        if self.memory < 64:
            raise ValueError(f"wanted a memory limit of at least 64 MiB, got {self.memory}")

    def as_dict(self) -> dict[str, float | int]:
        return asdict(self)


def apply_limits(limits: Limits) -> None:
    """Set, for good, all limits that the operating system can enforce on this process.

    The process that started this one watches the clock.

    Source: getrlimit(2).
    """
    _lower(resource.RLIMIT_CPU, math.ceil(limits.seconds) + 1)
    _lower(resource.RLIMIT_AS, _address_space() + limits.memory * MIB)
    _lower(resource.RLIMIT_FSIZE, limits.files)
    _lower(resource.RLIMIT_NOFILE, 64)
    _lower(resource.RLIMIT_NPROC, limits.processes)
    _lower(resource.RLIMIT_CORE, 0)
    if hasattr(resource, "RLIMIT_MSGQUEUE"):
        _lower(resource.RLIMIT_MSGQUEUE, 0)


def _lower(which: int, value: int) -> None:
    """Set one limit for good, or keep a lower one that holds already."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(which, (value, value))
    except (ValueError, OSError):  # macOS knows RLIMIT_AS but refuses to set it
        return


def _address_space() -> int:
    """Return the bytes of address space in use, or a guess if they cannot be read."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 64 * 1024 * MIB
    return pages * resource.getpagesize()
