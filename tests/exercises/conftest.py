"""Which file the exercise tests are about: one that was handed in, or the shipped solutions."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.paper import grade_file
from cleanformer_lite.checks.grading.result import Result
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.submissions import SUFFIXES, Submission, load

SOLUTIONS = Path(__file__).parents[2] / "book" / "solutions"
SEED = 20_170_612


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--submission",
        metavar="FILE",
        help="the notebook or .py file with answers to test (default: the shipped solutions)",
    )


def pytest_configure(config: pytest.Config) -> None:
    given: str | None = config.getoption("--submission", default=None)
    if given is not None and (
        Path(given).suffix.lower() not in SUFFIXES or not Path(given).is_file()
    ):
        raise pytest.UsageError(f"--submission: wanted a notebook or .py file, got {given}")


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    with Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def result_of(pytestconfig: pytest.Config, runner: Runner) -> Callable[[str], Result]:
    """Runs the answer to one exercise, once, in a process of its own; returns what came of it."""
    given: str | None = pytestconfig.getoption("--submission", default=None)

    @cache
    def run(exercise: str) -> Result:
        submission = _handed_in(given, exercise)
        (result,) = grade_file(runner, submission, [exercise], SEED)
        assert result.exercise == exercise
        return result

    return run


def _handed_in(given: str | None, exercise: str) -> Submission:
    """Return the file in which an exercise is answered."""
    if given is not None:
        return load(Path(given).resolve())
    return load(SOLUTIONS / f"{EXERCISES[exercise].chapter}.py")
