"""Write a report as text: eight lines at most."""

import textwrap

from cleanformer_lite.checks.report import Report
from cleanformer_lite.checks.species import SPECIES

WIDTH = 110
SIGNS = {"passed": "✓", "missing": "…", "failed": "✗", "timeout": "✗", "crashed": "✗"}


def as_text(report: Report) -> str:
    """Write a report: what was tried, yours beside the target, the mistake if it is known."""
    score = f"{report.points} of {report.max_points} points"
    lines = [f"{SIGNS.get(report.status, '✗')} {report.exercise}: {headline(report)} ({score})"]
    lines += compared(report)
    lines += [report.message] if report.message else named(report)
    if report.status in ("failed", "crashed", "timeout"):
        lines.append(f"Next: hint({report.exercise!r})")
    return "\n".join(short(line) for line in lines[:8])


def headline(report: Report) -> str:
    """Say in a few words how it went."""
    if report.status == "missing":
        return "not answered yet"
    if report.status == "failed" and report.failed:
        others = len(report.failed) - 1
        more = f", and {others} more" if others else ""
        return f"{report.failed[0]} fails{more}"
    return {"timeout": "stopped", "crashed": "raised an error"}.get(report.status, report.status)


def compared(report: Report) -> list[str]:
    """Show the smallest counterexample, or the message if there is none."""
    case = report.counterexample
    if case is None:
        return []
    lines = [f"tried:  {case.inputs}", f"yours:  {case.yours}", f"target: {case.target}"]
    return [f"what:   {case.what}", *lines] if case.what not in ("", "result") else lines


def named(report: Report) -> list[str]:
    """Name the mistake, and say honestly if it is one of several or unknown."""
    if report.status not in ("failed", "crashed"):
        return []
    known = [SPECIES[name] for name in report.species if name in SPECIES]
    if not known:
        return ["This is no mistake that we know; the first property that fails is shown."]
    if len(known) > 1:
        return ["Two or more known mistakes do this: " + ", ".join(s.id for s in known)]
    thread = f" Seen in {known[0].thread}" if known[0].thread else ""
    return [f"Known mistake {known[0].id}: {known[0].cause}.", *([thread.strip()] * bool(thread))]


def short(line: str) -> str:
    """Keep a line on one line: what an answer returns may be of any length."""
    flat = " ".join(line.split())
    return flat if line.startswith(("Known", "Seen")) else textwrap.shorten(flat, WIDTH)


def as_html(report: Report) -> str:
    """Write a report for a notebook."""
    from cleanformer_lite.checks.card_html import html_card

    return html_card(report)
