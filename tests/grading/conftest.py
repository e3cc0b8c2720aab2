"""One runner for all tests of this folder: starting one takes as long as importing torch."""

from collections.abc import Callable, Iterator

import pytest

from cleanformer_lite.grading.limits import Limits
from cleanformer_lite.grading.observed import Observed
from cleanformer_lite.grading.runner import Runner
from cleanformer_lite.grading.submissions import Submission
from tests.grading.handed_in import MERGE


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    with Runner(Limits(seconds=3, memory=1024)) as runner:
        yield runner


@pytest.fixture(scope="session")
def run(runner: Runner) -> Callable[[str], Observed]:
    """Runs the text of one answer."""
    return lambda text: runner.run(Submission("answer.py", "", (("", text),)), MERGE, seed=1)
