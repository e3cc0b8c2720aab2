"""Matplotlib figures as SVG that follows the page: its ink, light or dark, and its width."""

import html
import io
import re
from typing import Any

# What a figure may be drawn in; each becomes a custom property, which a page may set.
COLOURS = {
    "query": "#0b62a8",
    "key": "#a84b00",
    "value": "#0b7355",
    "muted": "#767676",
}
SMALLEST = 12  # points of 480 pixels' width: about 12 pixels on a phone
STYLE = "max-width:100%;height:auto;overflow:visible;font-family:inherit;stroke-linejoin:round"


class Picture:
    """An SVG with words for those who do not see it; a notebook shows it as HTML."""

    def __init__(self, svg: str, words: str) -> None:
        self.svg, self.words = svg, words

    def _repr_html_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return self.words


def picture(figure: Any, words: str) -> Picture:
    """Turn a matplotlib figure into a picture that follows the page; `words` say what it shows.

    Black becomes the page's ink, a colour of `COLOURS` the page's own of that name, white nothing.
    Draw it 5 inches wide: it is shown at 480 pixels, or less where there is less room.

    Raises: ValueError without words.
    """
    from matplotlib import pyplot, rc_context
    from matplotlib.text import Text

    if not words.strip():
        raise ValueError("wanted words that say what the picture shows, got none")
    for text in figure.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), SMALLEST))
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    drawn = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": words}):
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    pyplot.close(figure)
    return Picture(follow_page(drawn.getvalue(), words), words)


def follow_page(svg: str, words: str) -> str:
    """Take from matplotlib's SVG what is its own: ids, black ink, fonts; give it its words."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)  # not those that others refer to
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)
    svg = svg.replace("#000000", "currentColor")
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name}, {colour})")
    spoken = f'role="img" aria-label="{html.escape(words)}"'
    opening = f'<svg data-picture {spoken} fill="currentColor" style="{STYLE}"'
    return re.sub(r"\n\s*", "\n", svg.replace("<svg", opening, 1)).strip()
