"""Draw counts as HTML, with their bars on one scale."""

from collections.abc import Mapping
from html import escape

_WIDTH = 200  # pixels of the longest bar
_CELL = "padding:.1em .6em;text-align:left"


def draw_counts(counts: Mapping[str, int]) -> str:
    """Write an HTML table with a bar for each name, all on one scale that starts at 0."""
    most = max(1, *counts.values())
    lines = "".join(
        f'<tr><th scope="row" style="{_CELL}">{escape(name)}</th><td style="{_CELL}">'
        f'<span style="display:inline-block;height:.7em;width:{_WIDTH * count / most:.0f}px;'
        f'background:currentColor"></span></td><td style="{_CELL}">{count}</td></tr>'
        for name, count in counts.items()
    )
    return f'<table data-follows-theme style="border-collapse:collapse;margin:0">{lines}</table>'
