"""Exercises on attention in blocks: put two blocks together, and go through all of them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode

from cleanformer_lite.checks.chapters import plain
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.probes import draw

Block = tuple[Tensor, Tensor, Tensor]


def merged(
    top: Tensor, total: Tensor, mean: Tensor, new_top: Tensor, new_total: Tensor, new_mean: Tensor
) -> Block:
    """Put each row's numbers together in double precision, leaving an empty side out."""
    tops, totals, means = [], [], []
    for row in range(len(top)):
        sides = [
            (float(t[row]), float(s[row]), m[row].double())
            for t, s, m in ((top, total, mean), (new_top, new_total, new_mean))
            if float(t[row]) > -math.inf
        ]
        largest = max((side[0] for side in sides), default=-math.inf)
        tops.append(largest)
        totals.append(sum(s * math.exp(t - largest) for t, s, _ in sides))
        nothing = torch.zeros_like(mean[row], dtype=torch.float64)
        means.append(sum((m * math.exp(t - largest) for t, _, m in sides), start=nothing))
    columns = [torch.tensor(numbers)[:, None].to(top.dtype) for numbers in (tops, totals)]
    return columns[0], columns[1], torch.stack(means).to(mean.dtype)


def merged_with(*rescaled: str, guarded: bool = True) -> Callable[..., Block]:
    """SPECIMEN: of two totals and two means only those named are brought to the new maximum."""

    def merge(top: Tensor, total: Tensor, mean: Tensor, *other: Tensor) -> Block:
        largest = torch.maximum(top, other[0])
        shrink, grow = torch.exp(top - largest), torch.exp(other[0] - largest)
        if guarded:
            shrink, grow = shrink.nan_to_num(1.0), grow.nan_to_num(1.0)
        parts = {"old total": total, "old mean": mean, "new total": other[1], "new mean": other[2]}
        for name in rescaled:
            parts[name] = parts[name] * (shrink if name.startswith("old") else grow)
        both = [parts[f"old {name}"] + parts[f"new {name}"] for name in ("total", "mean")]
        return largest, both[0], both[1]

    return merge


def merge_case(name: str, fails: str, rows: int, width: int, empty: Sequence[int] = ()) -> Case:
    """A case of `merge_blocks`; `empty` says which of the two blocks held no key."""

    def make(generator: Generator) -> Arguments:
        made: Arguments = {}
        for block, prefix in enumerate(("", "other_")):
            small = name.startswith("tiny")
            top = draw(generator, rows, 1, by_hand=small) + (block if small else 0.0)
            total = 1.0 + draw(generator, rows, 1, by_hand=small).abs()
            mean = draw(generator, rows, width, by_hand=small)
            if block in empty:
                top, total, mean = top - math.inf, 0 * total, 0 * mean
            made |= {f"{prefix}top": top, f"{prefix}total": total, f"{prefix}mean": mean}
        return made

    return Case(name, fails, make)


EVERY = ("old total", "old mean", "new total", "new mean")

MERGE = Exercise(
    id="fused_heads.merge",
    title="Put two blocks together",
    entry_point="merge_blocks",
    prompt=(
        "Write `merge_blocks(top, total, mean, other_top, other_total, other_mean) -> (top, "
        "total, mean)`. Two groups of keys were read apart. Of each, `top` `(L, 1)` is the "
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
            merge_case("tiny", "both_sides_rescaled", 1, 1),
            merge_case("tiny_empty", "a_side_without_keys", 1, 1, empty=(0,)),
            merge_case("tiny_nothing", "no_keys_at_all", 1, 1, empty=(0, 1)),
            merge_case("large", "any_sizes", 5, 7),
            merge_case("large_empty", "any_side_without_keys", 5, 7, empty=(1,)),
        ),
        reference=merged,
        mistakes={
            "online_not_rescaled": (
                merged_with(),
                merged_with("old total"),
                merged_with("old mean"),
                merged_with("old total", "new total"),
                merged_with("old mean", "new mean"),
                merged_with("old total", "old mean"),
                merged_with("new total", "new mean"),
            ),
            "nan_rows": (merged_with(*EVERY, guarded=False),),
        },
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


def in_blocks(
    query: Tensor, key: Tensor, value: Tensor, block: int, *, scale: bool = True,
    rescale: Sequence[str] = EVERY, whole: bool = False, apart: bool = False,
) -> Tensor:  # fmt: skip
    """Read block after block; with another setting than the defaults a SPECIMEN."""
    state: list[Tensor] = []
    outputs = []
    for first in range(0, len(key) - block + 1 if whole else len(key), block):
        scores = query @ key[first : first + block].T / (query.shape[-1] ** 0.5 if scale else 1.0)
        top = scores.amax(-1, keepdim=True)
        powers = torch.exp(scores - top)
        new = [top, powers.sum(-1, keepdim=True), powers @ value[first : first + block]]
        outputs.append(new[2] / new[1])
        state = list(merged_with(*rescale)(*state, *new)) if state else new
    return torch.stack(outputs).mean(0) if apart else state[2] / state[1]


def blocked_case(name: str, fails: str, *sizes: int) -> Case:
    """A case of `blocked_attention`: sizes are L, S, D and the block."""
    length, keys, width, block = sizes

    def make(generator: Generator) -> Arguments:
        small = name.startswith("tiny")
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
            blocked_case("tiny", "two_blocks", 1, 2, 1, 1),
            blocked_case("tiny_short", "the_last_block_is_shorter", 1, 3, 1, 2),
            blocked_case("tiny_scale", "scale", 1, 2, 2, 1),
            blocked_case("large", "any_sizes", 5, 24, 7, 5),
            blocked_case("long", "never_holds_all_scores", 1, LONG, 3, 4),
        ),
        reference=in_blocks,
        mistakes={
            "scale_missing": (
                lambda query, key, value, block: in_blocks(query, key, value, block, scale=False),
            ),
            "online_not_rescaled": tuple(
                lambda query, key, value, block, named=named: in_blocks(
                    query, key, value, block, rescale=named
                )
                for named in (
                    (),
                    ("old total", "new total"),
                    ("old mean", "new mean"),
                    ("new total", "new mean"),
                    ("old total", "old mean"),
                )
            ),
            "softmax_per_block": (
                lambda query, key, value, block: in_blocks(query, key, value, block, apart=True),
            ),
            "last_block_dropped": (
                lambda query, key, value, block: in_blocks(query, key, value, block, whole=True),
            ),
            "table_kept_whole": (
                lambda query, key, value, block: plain.attention(query, key, value)[0],
                lambda query, key, value, block: (
                    torch.softmax(query @ key.T / query.shape[-1] ** 0.5, dim=-1) @ value
                ),
            ),
        },
        adapt=watched,
    ),
)
