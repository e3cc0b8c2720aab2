"""One test for every point of every exercise: `pytest tests/exercises --submission answers.ipynb`.

Choose a chapter or an exercise with `-k split_heads`. The answers run in processes of their own: an
answer that ends its process fails its tests and takes none of them away.
"""

from collections.abc import Callable

import pytest

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.result import Result

POINTS = [(exercise.id, point) for exercise in EXERCISES.values() for point in exercise.properties]


@pytest.mark.parametrize(("exercise", "point"), POINTS, ids=[f"{e}: {p}" for e, p in POINTS])
def test_point(result_of: Callable[[str], Result], exercise: str, point: str) -> None:
    result = result_of(exercise)
    # What never ran to its end was not tried on every point, so it passes none.
    tried = result.passed or (result.status in ("failed", "crashed") and result.failed)
    if not tried or point in result.failed or "runs" in result.failed:
        pytest.fail(result.card, pytrace=False)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_exercise(result_of: Callable[[str], Result], exercise: str) -> None:
    result = result_of(exercise)
    if not result.passed or result.points != EXERCISES[exercise].points:
        pytest.fail(result.card, pytrace=False)
