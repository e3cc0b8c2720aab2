"""Draw a report as text."""

from cleanformer_lite.checks.report import Report


def as_text(report: Report) -> str:
    """Write a report in eight lines at most."""
    return f"{report.exercise}: {report.status}, {report.points} of {report.max_points} points"


def as_html(report: Report) -> str:
    """Write a report as HTML."""
    return f"<pre>{as_text(report)}</pre>"
