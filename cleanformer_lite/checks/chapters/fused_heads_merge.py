"""Exercise: put two blocks of attention together."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

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
