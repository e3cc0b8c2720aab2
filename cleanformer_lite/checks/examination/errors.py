"""Questions that cannot be asked, and errors on one line."""

from __future__ import annotations


class NotAskedError(Exception):
    """Raised if a question cannot be asked of a module; the message says why."""


def short(error: BaseException, width: int = 160) -> str:
    """Write an error on one line: its type, and the beginning and end of its message."""
    text = " ".join(str(error).split())
    if len(text) > width:
        text = f"{text[: width // 2]} ... {text[-width // 3 :]}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
