"""Exercises that name the mistake: what to write, how it is tried, what to say of it."""

from cleanformer_lite.checks.api import check, find, hint, hints_of, keep_progress, last_named
from cleanformer_lite.checks.course import EXERCISES
from cleanformer_lite.checks.exercise import Exercise, Observations, judge, observe
from cleanformer_lite.checks.mistake import MISTAKES, Mistake
from cleanformer_lite.checks.progress import Progress
from cleanformer_lite.checks.report import STATUSES, Counterexample, Report

# The names under which pages and grades have known them.
SPECIES, Species = MISTAKES, Mistake

__all__ = [
    "EXERCISES",
    "MISTAKES",
    "SPECIES",
    "STATUSES",
    "Counterexample",
    "Exercise",
    "Mistake",
    "Observations",
    "Progress",
    "Report",
    "Species",
    "check",
    "find",
    "hint",
    "hints_of",
    "judge",
    "keep_progress",
    "last_named",
    "observe",
]
