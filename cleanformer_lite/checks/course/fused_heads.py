"""Exercises of the chapter on fused heads: thirds, blocks, and the whole forward pass."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.trials import draw
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import known_in
from cleanformer_lite.checks.mistakes.forms import in_blocks


def thirds_case(name: str, fails: str, *sizes: int) -> Case:
    """A case of `split_projection`: sizes are N, L, H, D; counted numbers when there are few."""
    batch, length, heads, width = sizes
    shape = (batch, length, 3 * heads * width)
    size = int(torch.Size(shape).numel())
    small = size <= 16

    def make(generator: Generator) -> Arguments:
        counted = torch.arange(1.0, size + 1).view(shape)
        projected = counted if small else torch.randn(shape, generator=generator)
        return {"projected": projected, "num_heads": heads}

    return Case(name, fails, make, gradient=not small)


THIRDS = Exercise(
    id="fused_heads.thirds",
    title="One product, cut into query, key and value",
    entry_point="split_projection",
    prompt=(
        "Write `split_projection(projected, num_heads) -> (query, key, value)`. `projected` is "
        "`(N, L, 3E)`, what one `nn.Linear(E, 3E)` made: first the E features of the query, then "
        "the key's, then the value's. Each result is `(N, H, L, D)`, heads as in chapter 4."
    ),
    starter="def split_projection(projected, num_heads):\n    raise NotImplementedError\n",
    hints=(
        "Two cuts: into three parts, and each part into heads. Which comes first?",
        "The parts lie one after the other along the last axis. `chunk` cuts them without a copy.",
        "`tuple(part.view(N, L, num_heads, -1).transpose(1, 2) for part in "
        "projected.chunk(3, dim=-1))`",
    ),
    points=1,
    minutes=5,
    difficulty=1,
    probe=FunctionProbe(
        cases=(
            thirds_case("tiny", "thirds", 1, 1, 2, 1),
            thirds_case("tiny_long", "tokens_stay_whole", 1, 2, 2, 1),
            thirds_case("large", "any_sizes", 2, 5, 3, 7),
        ),
        reference=references.split_projection,
        mistakes=known_in("fused_heads.thirds"),
    ),
)


def merge_case(
    name: str,
    fails: str,
    length: int,
    width: int,
    empty: Sequence[int] = (),
    *,
    small: bool = False,
) -> Case:
    """A case of `merge_blocks`; `empty` says which of the two blocks held no key."""

    def make(generator: Generator) -> Arguments:
        made: Arguments = {}
        for block, prefix in enumerate(("", "other_")):
            # Whose top is the larger one takes turns, so that a slip on either side shows.
            lead = 3.0 * (torch.arange(length)[:, None] % 2 == (1 - block))
            top = draw(generator, length, 1, by_hand=small).clamp(-1, 1) + lead
            total = 1.0 + draw(generator, length, 1, by_hand=small).abs()
            mean = draw(generator, length, width, by_hand=small)
            if block in empty:
                top, total, mean = top - math.inf, 0 * total, 0 * mean
            made |= {f"{prefix}top": top, f"{prefix}total": total, f"{prefix}mean": mean}
        return made

    return Case(name, fails, make)


MERGE = Exercise(
    id="fused_heads.merge",
    title="Put two blocks together",
    entry_point="merge_blocks",
    prompt=(
        "Write `merge_blocks(top, total, mean, other_top, other_total, other_mean) -> (top, "
        "total, mean)`. Two groups of keys were read separately. In each, `top` `(L, 1)` is the "
        "largest score, `total` `(L, 1)` the sum of the exponentials of score minus top, `mean` "
        "`(L, D)` the values summed with the same exponentials, not divided. Return the three for "
        "both groups together. A group without keys has a top of minus infinity and zeros."
    ),
    starter=(
        "def merge_blocks(top, total, mean, other_top, other_total, other_mean):\n"
        "    raise NotImplementedError\n"
    ),
    hints=(
        "The new top is easy. What would each exponential have been, had you known it?",
        "`exp(score - new) = exp(score - old) * exp(old - new)`: one factor for each side. And "
        "what is minus infinity less minus infinity?",
        "`factor = torch.where(top == new_top, 1.0, torch.exp(top - new_top))`, the same for the "
        "other; each total and each mean times its factor, then add.",
    ),
    points=2,
    minutes=10,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            merge_case("tiny", "both_sides_rescaled", 1, 1, small=True),
            merge_case("tiny_empty", "a_side_without_keys", 1, 1, empty=(0,), small=True),
            merge_case("tiny_nothing", "no_keys_at_all", 1, 1, empty=(0, 1), small=True),
            merge_case("large", "any_sizes", 5, 7),
            merge_case("large_empty", "any_side_without_keys", 5, 7, empty=(1,)),
        ),
        reference=references.merge_blocks,
        mistakes=known_in("fused_heads.merge"),
    ),
)


class SeesTable(TorchFunctionMode):
    """Watch whether any operator returns as many numbers as there are scores."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.seen = False

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.seen = self.seen or (isinstance(result, Tensor) and result.numel() == self.size)
        return result


LONG = 39  # keys of the one case in which a table can be told from everything else by its size


def watched(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return what an answer returns, and whether it held all scores of a query at once."""

    def run(query: Tensor, key: Tensor, value: Tensor, block: int) -> Any:
        with SeesTable(len(query) * len(key)) as table:
            output = answer(query, key, value, block)
        if output is None or len(key) != LONG:
            return output
        return {"output": output, "all scores at once": table.seen}

    return run


def blocked_case(name: str, fails: str, *sizes: int, small: bool = False) -> Case:
    """A case of `blocked_attention`: sizes are L, S, D and the block."""
    length, keys, width, block = sizes

    def make(generator: Generator) -> Arguments:
        spread = 1.0 if small else 1.5  # scores far apart: a slip in rescaling shows
        made: Arguments = {"query": spread * draw(generator, length, width, by_hand=small)}
        for part in ("key", "value"):
            made[part] = draw(generator, keys, width, by_hand=small)
        return {**made, "block": block}

    return Case(name, fails, make)


BLOCKED = Exercise(
    id="fused_heads.blocked",
    title="Attention in blocks",
    entry_point="blocked_attention",
    prompt=(
        "Write `blocked_attention(query, key, value, block)`. `query` is `(L, D)`, `key` and "
        "`value` are `(S, D)`; the result is `(L, D)`, scaled dot-product attention without a "
        "mask. Read `block` keys at a time (the last block may be shorter), and never make the "
        "scores of more keys than that at once. Use plain operators, not PyTorch's kernel."
    ),
    starter="def blocked_attention(query, key, value, block):\n    raise NotImplementedError\n",
    hints=(
        "Start with a top of minus infinity, a total of 0 and a mean of zeros.",
        "Each block gives scores, a top, a total and a mean of its own: you can put two together.",
        "For `first` in `range(0, len(key), block)`: scores of the slice over the root of D, "
        "`merge_blocks(...)`; at the end `mean / total`.",
    ),
    points=3,
    minutes=15,
    difficulty=3,
    probe=FunctionProbe(
        cases=(
            blocked_case("tiny", "two_blocks", 1, 2, 1, 1, small=True),
            blocked_case("tiny_short", "the_last_block_is_shorter", 1, 3, 1, 2, small=True),
            blocked_case("tiny_scale", "scale", 1, 2, 2, 1, small=True),
            blocked_case("large", "any_sizes", 5, 24, 7, 5),
            blocked_case("long", "never_holds_all_scores", 1, LONG, 3, 4),
        ),
        reference=in_blocks,
        mistakes=known_in("fused_heads.blocked"),
        adapt=watched,
    ),
)

EXERCISES = (THIRDS, MERGE, BLOCKED)
