"""One line on the terminal that says how far a long run has come."""

import sys
import time
from typing import TextIO

EVERY = 0.1


class ProgressLine:
    """Counts to `total` on one line of a terminal; in a log file it says something ten times only.

    Times are in seconds.
    """

    def __init__(self, total: int, what: str, stream: TextIO | None = None) -> None:
        self.total = total
        self.what = what
        self.stream = sys.stderr if stream is None else stream
        self.done = 0
        self.began = time.monotonic()
        self.shown_at = -EVERY
        self.tenths = 0

    def advance(self) -> None:
        """Count one more, and show it if it is time to."""
        self.done += 1
        last = self.done == self.total
        if self.stream.isatty():
            now = time.monotonic()
            if last or now - self.shown_at >= EVERY:
                self.shown_at = now
                self.stream.write(f"\r{self.text()}\x1b[K" + ("\n" if last else ""))
        elif last or self.done * 10 // self.total > self.tenths:
            self.tenths = self.done * 10 // self.total
            self.stream.write(self.text() + "\n")
        self.stream.flush()

    def text(self) -> str:
        """Say how many are done, and how long the rest will take if it goes on like this."""
        width = 24
        filled = width * self.done // max(1, self.total)
        bar = "#" * filled + "-" * (width - filled)
        spent = time.monotonic() - self.began
        left = spent / max(1, self.done) * (self.total - self.done)
        return f"[{bar}] {self.done} of {self.total} {self.what}, {clock(left)} left"

    def interrupt(self) -> None:
        """Leave the line, so that what follows starts on its own."""
        if self.stream.isatty():
            self.stream.write("\n")


def clock(seconds: float) -> str:
    """Write seconds as minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
