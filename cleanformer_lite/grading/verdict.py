"""From what was seen to points: judge the facts, or say why there are none."""

import threading
from dataclasses import asdict, dataclass
from typing import Any

from cleanformer_lite.checks import EXERCISES, Report, judge
from cleanformer_lite.checks.exercise import Exercise, Observations
from cleanformer_lite.grading.observed import Observed, ran_out_of_memory
from cleanformer_lite.grading.runner import RunsAnswers
from cleanformer_lite.grading.submissions import Submission

# Judges seed torch's one generator: two at a time would draw each other's numbers.
JUDGING = threading.Lock()


@dataclass(frozen=True)
class Graded:
    """One row of a grade table: one exercise of one submission.

    `species` and `failed` are as in a `Report`; `notes` name statements of the file that raised;
    `cpu_seconds` and `peak_kib` say what the answer's process used.
    """

    submission: str
    exercise: str
    points: int
    max_points: int
    status: str
    species: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    message: str = ""
    notes: tuple[str, ...] = ()
    cpu_seconds: float = 0.0
    peak_kib: int = 0

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def grade_one(
    runner: RunsAnswers, submission: Submission, exercise_id: str, seed: int
) -> tuple[Graded, Report]:
    """Run one answer and judge it; returns the row, and the report that a learner would read."""
    exercise = EXERCISES[exercise_id]
    seen = Observed("missing")
    if submission.trouble is not None:
        seen = Observed(submission.trouble[0], message=submission.trouble[1])
    elif submission.mentions(exercise.entry_point):
        seen = runner.run(submission, exercise_id, seed)
    report = reported(exercise, seen, seed)
    row = Graded(
        submission=submission.name,
        exercise=exercise_id,
        points=report.points,
        max_points=report.max_points,
        status=report.status,
        species=report.species,
        failed=report.failed,
        message=report.message,
        notes=seen.notes,
        cpu_seconds=round(seen.cpu_seconds, 4),
        peak_kib=seen.peak_kib,
    )
    return row, report


def reported(exercise: Exercise, seen: Observed, seed: int) -> Report:
    """Judge what was seen; without facts there are no points, whatever the reason."""
    if seen.status != "observed":
        failed = ("runs",) if seen.status != "missing" else ()
        return unjudged(exercise, seen.status, seen.message, failed)
    try:
        with JUDGING:
            report = judge(exercise, seen.facts, seed)
    except Exception as error:  # facts are whatever an answer says that they are
        return unjudged(exercise, "refused", f"facts that cannot be judged: {error!r:.200}", ())
    if not report.passed and memory_ran_out(seen.facts):
        return unjudged(exercise, "memory", "asked for more memory than is allowed", report.failed)
    return report


def unjudged(exercise: Exercise, status: str, message: str, failed: tuple[str, ...]) -> Report:
    """Report an answer of which there is nothing to judge."""
    return Report(exercise.id, status, 0, exercise.points, failed, message=message)


def memory_ran_out(facts: Observations) -> bool:
    """Say whether the answer's own errors speak of memory."""
    return any(isinstance(fact, str) and ran_out_of_memory(fact) for fact in facts.values())
