"""Follow single numbers through view, transpose and reshape, right and wrong."""

from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor

from cleanformer_lite.single_head import scaled_dot_product_attention
from cleanformer_lite.viewers.mount import Viewer, script_of, table

CHIPS = [
    ".view(N, L, H, D)",
    ".view(N, H, L, D)",
    ".transpose(1, 2)",
    ".transpose(2, 3)",
    ".contiguous()",
    "attend",
    ".reshape(N, L, E)",
    ".view(N, L, E)",
]
SPLIT, SWAP, MERGE = ".view(N, L, H, D)", ".transpose(1, 2)", ".reshape(N, L, E)"
RECIPES = {
    "the right one": [SPLIT, SWAP, "attend", SWAP, MERGE],
    "a bare view": [".view(N, H, L, D)", "attend", SWAP, MERGE],
    "a bare merge": [SPLIT, SWAP, "attend", MERGE],
}
MOST_STEPS = 8
MOST = {"N": 2, "L": 5, "H": 4, "D": 4}
LETTERS = "abcdefghij"


class IndexTracer(Viewer):
    """A tensor as named cells, and what each step of the reader's own recipe does to them.

    Traits: `sizes`, the list N, L, H, D; `recipe`, a list of CHIPS; `step`, the one shown, 0 for x;
        `followed`, the number of a cell in x, flat, or -1 for none; `chips`, `recipes` and `most`,
        what there is to pick from, and how many steps a recipe may have.

    Raises: ValueError for sizes that do not fit on a screen, or a chip that is not there.
    """

    _esm = script_of("tensor_walk", "index_tracer")
    title = "Build the split and the merge, and follow a number through them"
    shown = ("sizes", "recipe", "step", "followed", "chips", "recipes", "most")
    sizes = traitlets.List(traitlets.Int(), [1, 3, 2, 2]).tag(sync=True)
    recipe = traitlets.List(traitlets.Unicode()).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    followed = traitlets.Int(-1).tag(sync=True)
    chips = traitlets.List(traitlets.Unicode(), CHIPS).tag(sync=True)
    recipes: Any = traitlets.Dict(default_value=RECIPES).tag(sync=True)
    most = traitlets.Int(MOST_STEPS).tag(sync=True)

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
    def _check_recipe(self, proposal: dict[str, Any]) -> list[str]:
        recipe: list[str] = proposal["value"]
        unknown = [chip for chip in recipe if chip not in CHIPS]
        if unknown or len(recipe) > MOST_STEPS:
            raise ValueError(f"wanted at most {MOST_STEPS} steps of {CHIPS}, got {recipe}")
        return recipe

    def static(self) -> str:
        batch, length, heads, width = self.sizes
        x = torch.arange(batch * length * heads * width).view(batch, length, heads * width)
        return "".join(
            table(
                f"{name}: {' '.join(recipe)}. What each position holds at the end",
                ["position", "numbers"],
                [
                    [LETTERS[row], _names(line, heads * width)]
                    for row, line in enumerate(run(recipe, x, heads).flatten(0, 1))
                ],
            )
            for name, recipe in RECIPES.items()
        )


def run(recipe: Sequence[str], x: Tensor, num_heads: int) -> Tensor:
    """Do to a tensor what a recipe says; `attend` lets every row read itself alone.

    Shapes: x `(N, L, E)` -> whatever the recipe makes of it.

    Raises: what PyTorch raises.
    """
    sizes = {"N": x.shape[0], "L": x.shape[1], "E": x.shape[2]}
    sizes |= {"H": num_heads, "D": x.shape[2] // num_heads}
    for chip in recipe:
        if chip == "attend":
            itself = torch.eye(x.shape[-2], dtype=torch.bool)
            x = scaled_dot_product_attention(*[x.double()] * 3, attn_mask=itself)[0].long()
            continue
        name, _, arguments = chip.removeprefix(".").removesuffix(")").partition("(")
        numbers = [sizes[a] if a in sizes else int(a) for a in arguments.split(", ") if a]
        x = getattr(x, name)(*numbers)
    return x


def _names(cells: Tensor, embed_dim: int) -> str:
    """Name cells by where they came from: the letter of the position, the number of the feature."""
    return " ".join(
        f"{LETTERS[cell // embed_dim]}{cell % embed_dim}" for cell in cells.flatten().tolist()
    )


def trace_index(
    batch: int = 1,
    length: int = 3,
    num_heads: int = 2,
    head_dim: int = 2,
    *,
    recipe: str | Sequence[str] = (),
) -> IndexTracer:
    """Let the reader build split and merge of a small tensor, and follow any number through it.

    Shapes: the tensor is `(N, L, E)` with E = `num_heads` times `head_dim`; the numbers a0, a1, ...
        belong to position a, b0, b1, ... to position b. `recipe` is where the reader starts: a name
        of RECIPES or a list of CHIPS, and empty if not given.

    Raises: ValueError for sizes that do not fit on a screen, or an unknown recipe.
    """
    if isinstance(recipe, str) and recipe not in RECIPES:
        raise ValueError(f"wanted one of the recipes {list(RECIPES)}, got {recipe!r}")
    steps = RECIPES[recipe] if isinstance(recipe, str) else list(recipe)
    return IndexTracer(sizes=[batch, length, num_heads, head_dim], recipe=steps, step=len(steps))
