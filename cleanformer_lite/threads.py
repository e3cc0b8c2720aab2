"""CPU threads: one while tensors are small, since a second costs more than it gives."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def in_threads(number: int) -> Iterator[int]:
    """Let torch compute in so many CPU threads, then give the old number back; yields the old one.

    Raises: ValueError for a number below 1.
    """
    if number < 1:
        raise ValueError(f"wanted at least one thread, got {number}")
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


def one_thread() -> contextlib._GeneratorContextManager[int]:
    """Let torch compute in one CPU thread, for a block or as a decorator for each call."""
    return in_threads(1)
