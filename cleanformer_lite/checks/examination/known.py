"""Make findings with the name, cause, thread and fix of a known mistake."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from cleanformer_lite.checks.examination.finding import Finding
from cleanformer_lite.checks.mistakes import MISTAKES


def named(mistake: str, what: str, **case: str) -> Finding:
    """Make a finding of a known mistake."""
    known = MISTAKES.get(mistake)
    if known is None:
        return Finding(what, mistake, **case)
    case.setdefault("fix", known.hints[-1].rstrip("."))
    return Finding(what, mistake, cause=known.cause, thread=known.thread, **case)


def number(value: Any) -> str:
    """Write a number with as many digits as a reader can compare."""
    value = float(value.detach()) if isinstance(value, Tensor) else float(value)
    return f"{value:.4g}"


def worst(ours: Tensor, theirs: Tensor) -> tuple[str, str, str]:
    """Return where two tensors differ most, and the two numbers there."""
    gap = (ours - theirs).detach().abs().nan_to_num(float("inf"))
    flat = int(gap.reshape(-1).argmax())
    where = []
    for size in reversed(gap.shape):
        where.append(flat % size)
        flat //= size
    index = tuple(reversed(where))
    return str(list(index)), number(ours[index]), number(theirs[index])
