"""The door to the exercises: check an answer, name its mistake, give a hint."""

from typing import TYPE_CHECKING, Any

from cleanformer_lite.checks.api import check, find, hint, hints_of, keep_progress, last_named
from cleanformer_lite.checks.course import EXERCISES
from cleanformer_lite.checks.exercise import Exercise, judge, observe
from cleanformer_lite.checks.mistake import MISTAKES, Mistake
from cleanformer_lite.checks.observations import NoAnswer, Observations
from cleanformer_lite.checks.progress import Progress
from cleanformer_lite.checks.report import STATUSES, Counterexample, Report

if TYPE_CHECKING:
    from cleanformer_lite.checks.examination import Expect, examine

# The names under which pages and grades have known them.
SPECIES, Species = MISTAKES, Mistake

__all__ = [
    "EXERCISES",
    "MISTAKES",
    "SPECIES",
    "STATUSES",
    "Counterexample",
    "Exercise",
    "Expect",
    "Mistake",
    "NoAnswer",
    "Observations",
    "Progress",
    "Report",
    "Species",
    "check",
    "examine",
    "find",
    "hint",
    "hints_of",
    "judge",
    "keep_progress",
    "last_named",
    "observe",
]


def __getattr__(name: str) -> Any:
    # Grading imports this door in every process, and examines nothing.
    if name in ("examine", "Expect"):
        from cleanformer_lite.checks import examination

        return getattr(examination, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
