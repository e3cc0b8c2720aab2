"""Draw the picture beside a shared link: four heads of the book's translator at work."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

GROUND, TEXT, QUIET = "#16324f", "#ffffff", "#c3d4e6"
COLOURS = ("#7aa7d9", "#f0b35c", "#7cc48f", "#e58a8a")  # those of book/_static/favicon.svg
ALT = "The book's title beside four attention heads, each a grid of weights in a colour of its own."
DATE = "이천이십육년 십일월 이십삼일 월요일"


def heads_at_work() -> Tensor:
    """Return what the last layer's heads read while the translator writes a date.

    Shapes: -> weights `(H, L, S)`.
    """
    from cleanformer_lite.translation.checkpoints import load_model
    from cleanformer_lite.translation.decoding import greedy
    from cleanformer_lite.translation.looking_inside import attention_maps
    from cleanformer_lite.translation.vocabulary import START, korean_pieces, numbered

    model, _ = load_model()
    source = numbered([korean_pieces(DATE)], ends=False)
    written = greedy(model, source)
    target = torch.cat([written.new_full((1, 1), START), written], dim=1)[:, :-1]
    maps = attention_maps(model, source, target)
    return maps[[name for name in maps if name.startswith("cross")][-1]][0]


def draw_head(figure: Any, box: Sequence[float], weights: Tensor, colour: str) -> None:
    """Draw one head's weights as a grid, brighter for more."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list(colour, ["#24466b", colour])
    axes = figure.add_axes(box)
    axes.pcolormesh(weights.flip(0).numpy(), cmap=shades, edgecolors=GROUND, linewidth=1.5)
    axes.axis("off")


def draw_card(title: str, subtitle: str, path: Path) -> None:
    """Write the card, 1200 by 630 pixels, the same bytes each time on one machine."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=GROUND)
    texts: tuple[tuple[float, str, int, dict[str, Any]], ...] = (
        (0.82, title, 14, {"color": TEXT, "fontsize": 46, "weight": "bold"}),
        (0.46, subtitle, 36, {"color": QUIET, "fontsize": 20, "linespacing": 1.4}),
    )
    for height, text, columns, style in texts:
        figure.text(0.05, height, textwrap.fill(text, columns), None, va="top", **style)
    for i, (weights, colour) in enumerate(zip(heads_at_work()[:4], COLOURS, strict=False)):
        left, bottom = 0.53 + 0.215 * (i % 2), 0.52 - 0.41 * (i // 2)
        draw_head(figure, (left, bottom, 0.2, 0.38), weights, colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
