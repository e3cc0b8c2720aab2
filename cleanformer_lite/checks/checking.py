"""`check`: both halves of a check in one process, for someone at a notebook."""

import secrets
from dataclasses import replace
from pathlib import Path

from cleanformer_lite.checks.chapters import EXERCISES
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.judging import judge, observe
from cleanformer_lite.checks.progress import FILE, Progress
from cleanformer_lite.checks.report import Report
from cleanformer_lite.checks.time_limit import TimeLimitReached, time_limit

SECONDS = 5.0
kept: list[Progress] = []


def check(exercise_id: str, answer: object = None, *, seconds: float = SECONDS) -> Report:
    """Try an answer, and say what is wrong with it; the report draws itself in a notebook.

    An answer that raises, exits, or works for longer than `seconds` gives a report too. (Of one
    that only waits, four times as much is borne.)

    Raises: ValueError for an exercise that does not exist.
    """
    exercise = find(exercise_id)
    seed = secrets.randbelow(2**31)
    try:
        with time_limit(seconds):
            facts = observe(exercise, answer, seed)
        report = judge(exercise, facts, seed)
    except TimeLimitReached as late:
        report = Report(
            exercise.id, "timeout", 0, exercise.points, ("runs",), message=f"stopped: {late}"
        )
    return remembered(report)


def keep_progress(path: str | Path = FILE) -> Progress:
    """From now on, write every result of `check` to a file, and return what is in it already.

    Raises: ValueError, naming the file, if it is damaged; the file is left as it is.
    """
    progress = Progress.load(path)
    kept[:] = [progress]
    return progress


def remembered(report: Report) -> Report:
    """Record a report where progress is kept; if that fails, say so on the card."""
    try:
        for progress in kept:
            progress.record(report)
    except (ValueError, OSError) as error:
        return replace(report, message=f"progress was not saved: {error}")
    return report


def find(exercise_id: str) -> Exercise:
    """Look an exercise up.

    Raises: ValueError, naming those of its chapter or all, if there is none.
    """
    if exercise_id in EXERCISES:
        return EXERCISES[exercise_id]
    chapter = str(exercise_id).split(".")[0]
    near = [name for name in EXERCISES if name.startswith(f"{chapter}.")] or list(EXERCISES)
    raise ValueError(f"wanted one of {', '.join(near)}, got {exercise_id!r}")
