"""Give pytest `assert_attention` and a report of the run, without configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from torch import nn

    from cleanformer_lite.checks.examination import ExamineReport, Expect

_REPORTS: list[tuple[str, ExamineReport]] = []


def assert_attention(
    model: nn.Module,
    *args: Any,
    expect: Expect | None = None,
    allow: set[str] | frozenset[str] = frozenset(),
    **kwargs: Any,
) -> ExamineReport:
    """Examine every attention in a model and fail if there is a bug.

    `args` and `kwargs` are a call of the model. `allow` names mistakes that are meant.

    Raises: AttentionBugError, an AssertionError whose text is the report; ValueError if no
    attention was found.
    """
    from cleanformer_lite.checks.examination import examine

    __tracebackhide__ = True
    report = examine(model, *args, expect=expect, **kwargs)
    _REPORTS.append((type(model).__name__, report))
    report.raise_for_bugs(set(allow))
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that keeps a report."""
    group = parser.getgroup("attention")
    group.addoption(
        "--attention-report", metavar="FILE", help="write what was examined to one HTML file"
    )


@pytest.fixture(name="assert_attention")
def _assert_attention() -> Callable[..., ExamineReport]:
    """Return `assert_attention` for a test."""
    return assert_attention


@pytest.fixture(scope="session")
def attention_reports() -> list[tuple[str, ExamineReport]]:
    """Collect a name and a report for each call of `assert_attention` in this run."""
    return _REPORTS


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report of the run, if it was asked for."""
    path = session.config.getoption("--attention-report", default=None)
    if not path or not _REPORTS:
        return
    from cleanformer_lite.checks.examination import ExamineReport
    from cleanformer_lite.checks.examination.page import as_file
    from cleanformer_lite.files import write_file

    modules = [module for _, report in _REPORTS for module in report.modules]
    remarks = [remark for _, report in _REPORTS for remark in report.remarks]
    write_file(Path(path), as_file(ExamineReport(modules, remarks)))
