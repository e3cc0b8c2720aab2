"""Exercises of the chapter on splitting: two reshapes."""

import torch
from torch import Generator, Tensor

from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe


def counted(*shape: int) -> Tensor:
    """Return a tensor that numbers its elements from 1, so that each can be followed by eye."""
    size = int(torch.Size(shape).numel())
    return torch.arange(1.0, size + 1).view(shape)


def split_by_loop(x: Tensor, num_heads: int) -> Tensor:
    """Split head by head: slice the features, stack the slices."""
    head_dim = x.shape[-1] // num_heads
    return torch.stack(
        [x[:, :, head * head_dim : (head + 1) * head_dim] for head in range(num_heads)], dim=1
    )


def merge_by_loop(x: Tensor) -> Tensor:
    """Merge head by head: lay the slices side by side."""
    return torch.cat([x[:, head] for head in range(x.shape[1])], dim=-1)


def split_case(name: str, fails: str, *shape: int, num_heads: int) -> Case:
    """A case of `split_heads`: counted numbers when small, drawn ones otherwise."""

    def make(generator: Generator) -> Arguments:
        small = int(torch.Size(shape).numel()) <= 16
        x = counted(*shape) if small else torch.randn(shape, generator=generator)
        return {"x": x, "num_heads": num_heads}

    return Case(name, fails, make, gradient=not name.startswith("tiny"))


def merge_case(name: str, fails: str, *shape: int) -> Case:
    """A case of `merge_heads`, made like those of `split_heads`."""

    def make(generator: Generator) -> Arguments:
        small = int(torch.Size(shape).numel()) <= 16
        return {"x": counted(*shape) if small else torch.randn(shape, generator=generator)}

    return Case(name, fails, make, gradient=not name.startswith("tiny"))


SPLIT = Exercise(
    id="split_heads.split",
    title="Split the features into heads",
    entry_point="split_heads",
    prompt=(
        "Write `split_heads(x, num_heads)`. It takes `x` of shape `(N, L, E)` and gives each head "
        "its own slice of the features: `(N, H, L, D)`, where head 0 holds the first D features of "
        "every token, head 1 the next D, and so on."
    ),
    starter="def split_heads(x, num_heads):\n    raise NotImplementedError\n",
    hints=(
        "The features of one token stand side by side in memory. Which axis can be cut in two "
        "without moving a number?",
        "Cut the last axis first: `(N, L, E) -> (N, L, H, D)`. Two axes are then out of order.",
        "`x.view(N, L, num_heads, E // num_heads).transpose(1, 2)`",
    ),
    points=2,
    minutes=5,
    difficulty=1,
    probe=FunctionProbe(
        cases=(
            split_case("tiny", "tokens_stay_whole", 1, 2, 2, num_heads=2),
            split_case("tiny_wide", "heads_hold_neighbours", 1, 2, 4, num_heads=2),
            split_case("large", "any_sizes", 2, 5, 21, num_heads=3),
            split_case("one_head", "one_head", 2, 3, 5, num_heads=1),
        ),
        reference=split_by_loop,
        mistakes={
            "split_without_transpose": (
                lambda x, num_heads: x.reshape(x.shape[0], num_heads, x.shape[1], -1),
            ),
        },
    ),
)

MERGE = Exercise(
    id="split_heads.merge",
    title="Merge the heads again",
    entry_point="merge_heads",
    prompt=(
        "Write `merge_heads(x)`, which undoes `split_heads`: `x` of shape `(N, H, L, D)` becomes "
        "`(N, L, E)`, with the heads of a token side by side."
    ),
    starter="def merge_heads(x):\n    raise NotImplementedError\n",
    hints=(
        "Undo the steps of `split_heads` one by one. Which was the last?",
        "The heads of one token must stand next to each other before you join them.",
        "`x.transpose(1, 2).reshape(N, L, H * D)`: `view` would raise here, because after the "
        "transpose the numbers no longer lie in order.",
    ),
    points=2,
    minutes=5,
    difficulty=1,
    probe=FunctionProbe(
        cases=(
            merge_case("tiny", "tokens_stay_whole", 1, 2, 2, 1),
            merge_case("tiny_wide", "heads_hold_neighbours", 1, 2, 2, 2),
            merge_case("large", "any_sizes", 2, 3, 5, 7),
            merge_case("one_head", "one_head", 2, 1, 3, 5),
        ),
        reference=merge_by_loop,
        mistakes={
            "merge_without_transpose": (
                lambda x: x.reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3]),
            ),
            "merge_mixes_batch": (
                lambda x: (
                    x.reshape(x.shape[1], x.shape[0], *x.shape[2:])
                    .permute(1, 2, 0, 3)
                    .reshape(x.shape[0], x.shape[2], -1)
                ),
            ),
            "view_not_contiguous": (lambda x: x.transpose(1, 2).view(x.shape[0], x.shape[2], -1),),
        },
    ),
)
