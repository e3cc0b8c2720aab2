"""Stop an answer that never ends, and leave everything else running."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.2


class TimeLimitReached(BaseException):
    """Raised inside an answer that takes too long; `except Exception` does not catch it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeLimitReached` in the body once `seconds` have passed, and every 0.2 s after that.

    Repeated, because a bare `except` in a loop swallows the first one. Works in the main thread of
    a system that has timer signals; anywhere else there is no limit.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeLimitReached(f"no answer after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    started = time.monotonic()
    delay, interval = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        disarm(before, delay - (time.monotonic() - started) if delay else 0.0, interval)


def disarm(before: "signal._HANDLER", left: float, interval: float) -> None:
    """Put back the handler and the timer that were there before."""
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)
    if left or interval:
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), interval)
