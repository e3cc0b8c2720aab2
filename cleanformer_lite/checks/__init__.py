"""Exercises that name the mistake: what to write, how it is tried, what to say of it."""

from cleanformer_lite.checks.chapters import EXERCISES
from cleanformer_lite.checks.checking import check, keep_progress
from cleanformer_lite.checks.exercise import Exercise, Observations
from cleanformer_lite.checks.hints import hint
from cleanformer_lite.checks.judging import judge, observe
from cleanformer_lite.checks.progress import Progress
from cleanformer_lite.checks.report import Report
from cleanformer_lite.checks.species import SPECIES, Species

__all__ = [
    "EXERCISES",
    "SPECIES",
    "Exercise",
    "Observations",
    "Progress",
    "Report",
    "Species",
    "check",
    "hint",
    "judge",
    "keep_progress",
    "observe",
]
