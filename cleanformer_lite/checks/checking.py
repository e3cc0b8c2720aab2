"""`check`: both halves of a check in one process, for someone at a notebook."""

import secrets

from cleanformer_lite.checks.chapters import EXERCISES
from cleanformer_lite.checks.exercise import Exercise, Observations
from cleanformer_lite.checks.judging import judge, observe
from cleanformer_lite.checks.progress import Progress
from cleanformer_lite.checks.report import Report
from cleanformer_lite.checks.time_limit import TimeLimitReached, time_limit

SECONDS = 5.0


def check(
    exercise_id: str,
    answer: object = None,
    *,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> Report:
    """Try an answer, and say what is wrong with it; the report draws itself in a notebook.

    An answer that raises, exits or never ends gives a report too. Points are kept in `progress`, if
    one is given.

    Raises: ValueError for an exercise that does not exist.
    """
    exercise = find(exercise_id)
    seed = secrets.randbelow(2**31)
    try:
        with time_limit(seconds):
            facts = observe(exercise, answer, seed)
        report = judge(exercise, facts, seed)
    except TimeLimitReached as late:
        report = stopped(exercise, str(late))
    if progress is not None:
        progress.record(report)
    return report


def find(exercise_id: str) -> Exercise:
    """Look an exercise up.

    Raises: ValueError, naming those of the same chapter or the chapters, if there is none.
    """
    if exercise_id in EXERCISES:
        return EXERCISES[exercise_id]
    chapter = str(exercise_id).split(".")[0]
    near = [name for name in EXERCISES if name.startswith(f"{chapter}.")] or list(EXERCISES)
    raise ValueError(f"wanted one of {', '.join(near)}, got {exercise_id!r}")


def stopped(exercise: Exercise, why: str) -> Report:
    """Report an answer that was stopped by the time limit."""
    return Report(exercise.id, "timeout", 0, exercise.points, ("runs",), message=why)


__all__ = ["Observations", "check", "find"]
