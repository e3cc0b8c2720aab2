"""Which file the exercise tests are about: one that was handed in, or the shipped solutions."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from cleanformer_lite.checks import EXERCISES, Report
from cleanformer_lite.grading.runner import Runner
from cleanformer_lite.grading.submissions import Submission, load
from cleanformer_lite.grading.verdict import grade_one

SOLUTIONS = Path(__file__).parents[2] / "book" / "solutions"
SEED = 20_170_612


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--submission",
        metavar="FILE",
        help="the notebook or .py file with answers to test (default: the shipped solutions)",
    )


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    with Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def report_of(pytestconfig: pytest.Config, runner: Runner) -> Callable[[str], Report]:
    """Runs the answer to one exercise, once, in a process of its own, and returns its report."""
    given: str | None = pytestconfig.getoption("--submission", default=None)

    @cache
    def run(exercise: str) -> Report:
        row, report = grade_one(runner, handed_in(given, exercise), exercise, SEED)
        assert row.exercise == report.exercise == exercise
        return report

    return run


def handed_in(given: str | None, exercise: str) -> Submission:
    """Return the file in which an exercise is answered."""
    if given is not None:
        return load(Path(given).resolve())
    return load(SOLUTIONS / f"{EXERCISES[exercise].chapter}.py")
