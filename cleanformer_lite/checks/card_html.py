"""Draw a report for a notebook: the text, and the first numbers of both sides as bars."""

import html
import re

from cleanformer_lite.checks.card import as_text
from cleanformer_lite.checks.report import Report

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?|nan|inf")
MOST = 8
# No fixed colours: currentColor follows light and dark. Yours is hatched, the target is filled, so
# that they differ without colour.
HATCH = (
    '<pattern id="{id}" width="4" height="4" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="4" stroke="currentColor" '
    'stroke-width="1.5"/></pattern>'
)


def html_card(report: Report) -> str:
    """Draw a card; every word of an answer is escaped."""
    first, *rest = as_text(report).split("\n")
    body = "<br>".join(linked(html.escape(line)) for line in rest)
    picture = bars(report) or ""
    return (
        '<div style="border:1px solid currentColor;border-left-width:6px;border-radius:4px;'
        'padding:.5em .8em;margin:.3em 0;max-width:60em;font-family:inherit;color:inherit">'
        f"<strong>{html.escape(first)}</strong>"
        f'<div style="font-family:monospace;font-size:90%;overflow-wrap:anywhere">{body}</div>'
        f"{picture}</div>"
    )


def linked(line: str) -> str:
    """Turn the address of a thread into a link."""
    link = r'<a href="\1" style="color:inherit">\1</a>'
    return re.sub(r"(https://github\.com/[\w./#-]+)", link, line)


def bars(report: Report) -> str | None:
    """Draw the numbers of both sides next to each other, if both are a few numbers."""
    case = report.counterexample
    if case is None:
        return None
    yours, target = numbers(case.yours), numbers(case.target)
    if not yours or len(yours) != len(target):
        return None
    top = max((abs(value) for value in (*yours, *target)), default=0.0) or 1.0
    mark = "hatch-" + re.sub(r"\W", "-", report.exercise)
    drawn = "".join(
        bar(place * 44 + side * 16, value / top, f"url(#{mark})" if side == 0 else "currentColor")
        for place, pair in enumerate(zip(yours, target, strict=True))
        for side, value in enumerate(pair)
    )
    text = f"yours hatched: {yours}; target filled: {target}"
    width = 44 * len(yours)
    return (
        f'<svg role="img" viewBox="0 0 {width} 64" width="{width}" height="64">'
        f"<title>{html.escape(text)}</title><defs>{HATCH.format(id=mark)}</defs>"
        f'<line x1="0" x2="{width}" y1="32" y2="32" stroke="currentColor"/>{drawn}</svg>'
        "<small> yours hatched, target filled</small>"
    )


def bar(left: int, share: float, fill: str) -> str:
    """Draw one number, up from the middle or down."""
    height = max(1.0, abs(share) * 30)
    top = 32 - height if share >= 0 else 32
    return (
        f'<rect x="{left + 4}" y="{top:.1f}" width="14" height="{height:.1f}" '
        f'fill="{fill}" stroke="currentColor"/>'
    )


def numbers(text: str) -> list[float]:
    """Read the numbers in a shown value; none if there are words, or too many."""
    if re.sub(r"nan|inf", "", text).strip("[]() ,-.0123456789e"):
        return []
    found = [float(match) for match in NUMBER.findall(text)]
    finite = all(abs(value) < 1e30 for value in found)
    return found if finite and len(found) <= MOST else []
