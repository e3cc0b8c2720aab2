"""Stop an answer that never ends, and leave everything else running."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.2
# A machine that is busy with other things gives an answer a part of its time only, and a sleeping
# answer takes none: so many times the limit may pass on the clock.
PATIENCE = 4


class TimeLimitReached(BaseException):
    """Raised inside an answer that takes too long; `except Exception` does not catch it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeLimitReached` in the body once it has worked for `seconds`, or waited for longer.

    What counts is the processor's time, so that a busy machine stops nobody's right answer; of time
    on the clock there is four times as much. Raised again every 0.2 s, because a bare `except` in a
    loop swallows the first one. Works in the main thread of a system that has timer signals;
    anywhere else there is no limit.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    began, worked = time.monotonic(), time.process_time()

    def stop(number: int, frame: FrameType | None) -> None:
        if time.process_time() - worked >= seconds:
            raise TimeLimitReached(f"no answer after {seconds:g} s of work")
        if time.monotonic() - began >= PATIENCE * seconds:
            raise TimeLimitReached(f"no answer after {PATIENCE * seconds:g} s, most of it waiting")

    before = signal.signal(signal.SIGALRM, stop)
    delay, interval = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        disarm(before, delay - (time.monotonic() - began) if delay else 0.0, interval)


def disarm(before: "signal._HANDLER", left: float, interval: float) -> None:
    """Put back the handler and the timer that were there before."""
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)
    if left or interval:
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), interval)
