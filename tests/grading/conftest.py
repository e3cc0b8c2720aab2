"""Runners for all tests of this folder: starting one takes as long as importing torch."""

from collections.abc import Callable, Iterator

import pytest

from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.result import Observed
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.sandbox import choose, describe
from tests.grading.running import observed

# What isolates answers is tried with bubblewrap, where it runs, and without.
LAYERS = ["kernel", *(["bubblewrap"] if choose().bubblewrap else [])]


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    with Runner(Limits(seconds=3, memory=1024)) as runner:
        yield runner


@pytest.fixture(scope="session", params=LAYERS)
def layered(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """A runner for each way in which this machine can keep answers apart."""
    with Runner(Limits(seconds=3, memory=1024), isolation=request.param) as runner:
        yield runner


@pytest.fixture
def run(layered: Runner) -> Callable[[str], Observed]:
    """Runs the text of one answer."""
    return lambda text: observed(layered, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which layers the tests of isolation had, and which were missing."""
    terminalreporter.write_sep("-", "isolation")
    terminalreporter.write_line(describe().split("\n\n")[0])
