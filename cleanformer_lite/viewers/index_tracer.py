"""Follow single numbers through view, transpose and reshape, right and wrong."""

from collections.abc import Callable
from typing import Any

import torch
import traitlets
from torch import Tensor

from cleanformer_lite.split_heads import merge_heads, split_heads
from cleanformer_lite.viewers.mount import Viewer, script_of, table

RECIPES = ["right", "bare view", "bare merge"]
MOST = {"N": 2, "L": 5, "H": 4, "D": 4}
LETTERS = "abcdefghij"


class IndexTracer(Viewer):
    """A tensor as named cells, and what each step of a recipe does to them.

    Traits: `sizes`, the list N, L, H, D; `recipe`, one of RECIPES; `step`, counted from 0;
        `followed`, the number of a cell in x, flat, or -1 for none.

    Raises: ValueError for sizes that do not fit on a screen.
    """

    _esm = script_of("index_tracer")
    title = "Follow one number through the split and the merge"
    shown = ("sizes", "recipe", "step", "followed")
    sizes = traitlets.List(traitlets.Int(), [1, 3, 2, 2]).tag(sync=True)
    recipe = traitlets.Unicode("right").tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    followed = traitlets.Int(-1).tag(sync=True)

    @traitlets.validate("sizes")
    def _check_sizes(self, proposal: dict[str, Any]) -> list[int]:
        sizes: list[int] = proposal["value"]
        fits = len(sizes) == 4 and all(
            1 <= size <= most for size, most in zip(sizes, MOST.values(), strict=True)
        )
        if not fits:
            most = ", ".join(f"{axis} to {size}" for axis, size in MOST.items())
            raise ValueError(f"wanted sizes from 1 ({most}), got {sizes}")
        return sizes

    @traitlets.validate("recipe")
    def _check_recipe(self, proposal: dict[str, Any]) -> str:
        if proposal["value"] not in RECIPES:
            raise ValueError(f"wanted one of the recipes {RECIPES}, got {proposal['value']!r}")
        return str(proposal["value"])

    def static(self) -> str:
        batch, length, heads, width = self.sizes
        numbers = torch.arange(batch * length * heads * width)
        x = numbers.view(batch, length, heads * width)
        return "".join(
            table(
                f"{name}: what each place holds after split and merge",
                ["place", "numbers"],
                [
                    [LETTERS[row], names(line, heads * width)]
                    for row, line in enumerate(merged.flatten(0, 1))
                ],
            )
            for name, merged in ((name, run(x, heads)) for name, run in RUNS.items())
        )


RUNS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "right": lambda x, heads: merge_heads(split_heads(x, heads)),
    "bare view": lambda x, heads: merge_heads(x.view(x.shape[0], heads, x.shape[1], -1)),
    "bare merge": lambda x, heads: split_heads(x, heads).reshape(x.shape),
}


def names(cells: Tensor, embed_dim: int) -> str:
    """Name cells by where they came from: the letter of the place, the number of the feature."""
    return " ".join(
        f"{LETTERS[cell // embed_dim]}{cell % embed_dim}" for cell in cells.flatten().tolist()
    )


def trace_index(
    batch: int = 1, length: int = 3, num_heads: int = 2, head_dim: int = 2, *, recipe: str = "right"
) -> IndexTracer:
    """Step through the split and the merge of a small tensor, and follow any number of it.

    Shapes: the tensor is `(N, L, E)` with E = `num_heads` times `head_dim`; the numbers a0, a1, ...
        belong to place a, b0, b1, ... to place b.

    Raises: ValueError for sizes that do not fit on a screen, or an unknown recipe.
    """
    return IndexTracer(sizes=[batch, length, num_heads, head_dim], recipe=recipe)
