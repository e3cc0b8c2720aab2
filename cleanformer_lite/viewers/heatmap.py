"""Draw attention weights as one heatmap a head."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from cleanformer_lite.viewers.weights import check_weights

COLUMNS = 4
MOST_NUMBERED = 8  # tokens on a side up to which the numbers still fit into the cells


def heatmap(
    weights: Tensor,
    tokens: Sequence[str],
    key_tokens: Sequence[str] | None = None,
    title: str | None = None,
    names: Sequence[str] | None = None,
) -> Any:
    """Draw every head's weights, darker for more, queries downwards and keys to the right.

    Shapes: weights `(H, L, S)` or `(1, H, L, S)`, tokens L, key_tokens S, names H (if not given,
        "head 0" and so on) -> a matplotlib Figure.

    Raises: ValueError if shapes, tokens and names do not fit together.
    """
    from matplotlib import pyplot

    weights, queries, keys = check_weights(weights, tokens, key_tokens)
    heads = len(weights)
    names = [f"head {head}" for head in range(heads)] if names is None else names
    if len(names) != heads:
        raise ValueError(f"wanted one name for each of {heads} heads, got {len(names)}")
    num_columns = min(heads, COLUMNS)
    num_rows = math.ceil(heads / num_columns)
    numbered = max(len(queries), len(keys)) <= MOST_NUMBERED
    cell = 0.55 if numbered else 0.3
    size = (num_columns * (cell * len(keys) + 1.0), num_rows * (cell * len(queries) + 1.1))
    figure = pyplot.figure(figsize=size, layout="constrained")
    panels = figure.subplots(num_rows, num_columns, squeeze=False).flat
    for head, panel in enumerate(panels):
        if head < heads:
            draw_head(panel, weights[head], queries, keys, numbered=numbered)
            panel.set_title(names[head], fontsize=10)
        else:
            panel.set_axis_off()
    if title:
        figure.suptitle(title)
    # Closed, so that a notebook shows the returned figure once rather than twice.
    pyplot.close(figure)
    return figure


def draw_head(
    panel: Any, weights: Tensor, queries: list[str], keys: list[str], *, numbered: bool
) -> None:
    """Draw one head's weights `(L, S)` into one panel."""
    # A scale of greys reads the same to every eye; it is fixed, so that heads compare.
    panel.imshow(weights.numpy(), cmap="Greys", vmin=0, vmax=1)
    panel.set_xticks(range(len(keys)), keys, rotation=60, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(queries)), queries)
    panel.set_xlabel("key")
    panel.set_ylabel("query")
    if not numbered:
        return
    for row, line in enumerate(weights.tolist()):
        for column, weight in enumerate(line):
            ink = "white" if weight > 0.5 else "black"
            panel.text(column, row, f"{weight:.2f}", ha="center", va="center", color=ink, size=8)
