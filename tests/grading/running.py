"""Run and grade text as if it had been handed in."""

from pathlib import Path
from typing import Any

from cleanformer_lite.checks.grading.executors import LocalExecutor
from cleanformer_lite.checks.grading.grade import Course, grade_folder
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.paper import grade_file
from cleanformer_lite.checks.grading.result import Observed, Result, understand
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.submissions import Submission
from cleanformer_lite.checks.grading.wire import without_notes
from tests.grading.handed_in import MERGE


def observed(runner: Runner, text: str, seed: int = 1) -> Observed:
    """Run the text of one answer, and return what came of it."""
    answer = runner.read(Submission("a.py", text.encode()), [MERGE])["answers"][MERGE]
    attempt = runner.run(MERGE, answer["code"], seed, answer["broken"])
    frame = None if attempt.frame is None else without_notes(attempt.frame)[1]
    return understand(frame, attempt.ended, attempt.nonce)


def graded(runner: Runner, text: str, name: str = "a.py", exercise: str = MERGE) -> Result:
    """Grade the text of one file."""
    return grade_file(runner, Submission(name, text.encode()), [exercise], seed=1)[0]


def grade(folder: Path, out: Path, runner: Runner | None = None, **options: Any) -> Course:
    """Grade a folder, with a runner of its own if none is given."""
    options = {"exercises": [MERGE], **options}
    if runner is not None:
        return grade_folder(folder, out, LocalExecutor(runner), **options)
    with Runner(Limits(seconds=3, memory=1024)) as own:
        return grade_folder(folder, out, LocalExecutor(own), **options)
