"""Write a report as a card for notebooks, and as one file to send."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from cleanformer_lite.checks.examination.finding import ExamineReport

FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Attention examined</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root{{color-scheme:light dark}}body{{font-family:sans-serif;margin:1.5em}}</style>
</head><body><h1>Attention examined</h1>
{card}
</body></html>
"""


@cache
def _template() -> Template:
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, trim_blocks=True)
    environment.filters["code"] = _code
    return environment.get_template("report.html")


def _code(text: str) -> Markup:
    """Mark text between backticks as code, and escape everything."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part
        for number, part in enumerate(parts)
    )


def as_html(report: ExamineReport) -> str:
    """Write a report as HTML, with every text of a module escaped."""
    return _template().render(groups=list(report.groups()), remarks=report.remarks)


def as_file(report: ExamineReport) -> str:
    """Write a report as a whole page that needs nothing else."""
    return FRAME.format(card=as_html(report))
