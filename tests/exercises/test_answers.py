"""One test for every point of every exercise: `pytest tests/exercises --submission answers.ipynb`.

Choose a chapter or an exercise with `-k split_heads`. The answers run in processes of their own: an
answer that ends its process fails its tests and takes none of them away.
"""

from collections.abc import Callable

import pytest

from cleanformer_lite.checks import EXERCISES, Report

POINTS = [(exercise.id, point) for exercise in EXERCISES.values() for point in exercise.properties]


@pytest.mark.parametrize(("exercise", "point"), POINTS, ids=[f"{e}: {p}" for e, p in POINTS])
def test_point(report_of: Callable[[str], Report], exercise: str, point: str) -> None:
    report = report_of(exercise)
    # What never ran to its end was not tried on every point, so it passes none.
    tried = report.passed or (report.status in ("failed", "crashed") and report.failed)
    if not tried or point in report.failed or "runs" in report.failed:
        pytest.fail(str(report), pytrace=False)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_exercise(report_of: Callable[[str], Report], exercise: str) -> None:
    report = report_of(exercise)
    if not report.passed or report.points != EXERCISES[exercise].points:
        pytest.fail(str(report), pytrace=False)
