"""Exercises of the chapter on fused heads: thirds, blocks, and the whole forward pass."""

import torch
from torch import Generator

from cleanformer_lite.checks.chapters.fused_heads_blocked import BLOCKED
from cleanformer_lite.checks.chapters.fused_heads_forward import FORWARD
from cleanformer_lite.checks.chapters.fused_heads_merge import MERGE
from cleanformer_lite.checks.chapters.fused_heads_thirds import (
    INTERLEAVED,
    thirds,
    without_transpose,
)
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe


def thirds_case(name: str, fails: str, *sizes: int) -> Case:
    """A case of `split_projection`: sizes are N, L, H, D; counted numbers when there are few."""
    batch, length, heads, width = sizes

    def make(generator: Generator) -> Arguments:
        shape = (batch, length, 3 * heads * width)
        size = int(torch.Size(shape).numel())
        small = size <= 16
        counted = torch.arange(1.0, size + 1).view(shape)
        projected = counted if small else torch.randn(shape, generator=generator)
        return {"projected": projected, "num_heads": heads}

    return Case(name, fails, make, gradient=not name.startswith("tiny"))


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
        reference=thirds,
        mistakes={
            "qkv_interleaved": INTERLEAVED,
            "split_without_transpose": (without_transpose,),
        },
    ),
)

EXERCISES = (THIRDS, MERGE, BLOCKED, FORWARD)
