"""Grade a whole folder: every file, every exercise, one row each, whatever is handed in."""

import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.grading.journal import Journal, key_of
from cleanformer_lite.grading.limits import Limits
from cleanformer_lite.grading.runner import Runner
from cleanformer_lite.grading.submissions import Submission, find, load
from cleanformer_lite.grading.verdict import Graded, grade_one


@dataclass(frozen=True)
class Task:
    """One answer to grade, and the key under which its result is kept."""

    submission: Submission
    exercise: str
    key: str

    @property
    def must_run(self) -> bool:
        """Say whether anything can be found out by running the submission."""
        entry_point = EXERCISES[self.exercise].entry_point
        return self.submission.trouble is None and self.submission.mentions(entry_point)


def grade_folder(
    folder: Path,
    out: Path,
    *,
    exercises: Sequence[str] = (),
    limits: Limits | None = None,
    jobs: int = 1,
    seed: int | None = None,
    starting: Callable[[int, int], None] | None = None,
    graded: Callable[[Graded], None] | None = None,
) -> list[Graded]:
    """Grade every notebook and `.py` file in a folder; returns one row per file and exercise.

    `out` is where the journal lies: what it holds is not run again. `starting` is told how many
    answers are to be graded and how many were already; `graded` is told of each.

    Raises: ValueError for an exercise that does not exist or a folder without submissions, OSError
        for a folder that is not there or cannot be written.
    """
    limits = limits or Limits()
    chosen = known(exercises)
    submissions = read_all(folder, out)
    out.mkdir(parents=True, exist_ok=True)
    with Journal(out / "journal.jsonl") as journal:
        tasks = [
            Task(submission, exercise, key_of(submission.digest, exercise, limits, seed))
            for submission in submissions
            for exercise in chosen
        ]
        todo = unfinished(tasks, journal)
        if starting is not None:
            starting(len(todo), sum(task.must_run for task in tasks) - len(todo))
        if todo:
            with Runner(limits, jobs=min(jobs, len(todo))) as runner:
                run_all(runner, todo, journal, seed, graded)
        return [row_of(task, journal) for task in tasks]


def known(exercises: Sequence[str]) -> list[str]:
    """Return the exercises to grade, all if none is named.

    Raises: ValueError naming those that do not exist.
    """
    strange = [name for name in exercises if name not in EXERCISES]
    if strange:
        raise ValueError(f"wanted some of {', '.join(EXERCISES)}, got {', '.join(strange)}")
    return [name for name in EXERCISES if not exercises or name in exercises]


def read_all(folder: Path, out: Path) -> list[Submission]:
    """Read every submission before any answer runs: none can change another's text."""
    return [load(path, str(path.relative_to(folder))) for path in find(folder, leave_out=out)]


def unfinished(tasks: list[Task], journal: Journal) -> list[Task]:
    """Return what is not in the journal yet; files with the same content need one run."""
    todo = {task.key: task for task in tasks if task.must_run}
    return [task for key, task in todo.items() if key not in journal.done]


def run_all(
    runner: Runner,
    todo: list[Task],
    journal: Journal,
    seed: int | None,
    graded: Callable[[Graded], None] | None,
) -> None:
    """Grade tasks, as many at a time as the runner takes, and keep each result at once."""
    one_at_a_time = threading.Lock()

    def work(task: Task) -> None:
        drawn = secrets.randbelow(2**31) if seed is None else seed
        row, _ = grade_one(runner, task.submission, task.exercise, drawn)
        with one_at_a_time:
            journal.write(task.key, row)
            if graded is not None:
                graded(row)

    with ThreadPoolExecutor(runner.jobs) as pool:
        futures = [pool.submit(work, task) for task in todo]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            runner.close()  # or the answers that still run would be waited for
            raise


def row_of(task: Task, journal: Journal) -> Graded:
    """Return the result of one task under its own submission's name."""
    kept = journal.find(task.key, task.submission.name) if task.must_run else None
    if kept is not None:
        return kept
    status, message = task.submission.trouble or ("missing", "")
    points = EXERCISES[task.exercise].points
    return Graded(task.submission.name, task.exercise, 0, points, status, message=message)
