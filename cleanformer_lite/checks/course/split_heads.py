"""Exercises of the chapter on splitting: two reshapes, weights from the loop, a module."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, nn

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.module_probe import ModuleProbe
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import MISTAKES, known_in
from cleanformer_lite.copy_weights import copy_weights
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.split_heads import SplitMultiHeadAttention


def split_case(name: str, fails: str, *shape: int, num_heads: int) -> Case:
    """A case of `split_heads`: counted numbers when small, drawn ones otherwise."""

    small = int(torch.Size(shape).numel()) <= 16

    def make(generator: Generator) -> Arguments:
        x = references.counted(*shape) if small else torch.randn(shape, generator=generator)
        return {"x": x, "num_heads": num_heads}

    return Case(name, fails, make, gradient=not small)


def merge_case(name: str, fails: str, *shape: int) -> Case:
    """A case of `merge_heads`, made like those of `split_heads`."""

    small = int(torch.Size(shape).numel()) <= 16

    def make(generator: Generator) -> Arguments:
        return {
            "x": references.counted(*shape) if small else torch.randn(shape, generator=generator)
        }

    return Case(name, fails, make, gradient=not small)


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
        reference=references.split_heads,
        mistakes=known_in("split_heads.split"),
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
        reference=references.merge_heads,
        mistakes=known_in("split_heads.merge"),
    ),
)


def modules_case(name: str, fails: str, embed_dim: int, num_heads: int) -> Case:
    """A pair of modules whose weights differ, drawn from the seed."""

    def make(generator: Generator) -> Arguments:
        modules: list[nn.Module] = [
            LoopedMultiHeadAttention(embed_dim, num_heads),
            SplitMultiHeadAttention(embed_dim, num_heads),
        ]
        with torch.no_grad():
            for module in modules:
                for parameter in module.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=generator))
        x = torch.randn(2, 3, embed_dim, generator=generator)
        return {"looped": modules[0], "split": modules[1], "x": x}

    return Case(name, fails, make)


def compared(answer: Callable[[nn.Module, nn.Module], object]) -> Callable[..., Any]:
    """Run an answer, and return what the split module computes after it."""

    def run(looped: nn.Module, split: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        answer(looped, split)
        with torch.no_grad():  # a copy stays what it is when the loop changes
            for parameter in looped.parameters():
                parameter.zero_()
        leaf = x.clone().requires_grad_()
        output, weights = split(leaf, need_weights=True)
        loss = torch.sum(output * torch.linspace(1, 2, output.numel()).view(output.shape))
        (gradient,) = torch.autograd.grad(loss, leaf)
        return {"weights": weights, "output": output, "gradient": gradient}

    return run


FROM_LOOP = Exercise(
    id="split_heads.from_loop",
    title="From the loop's weights to the split's",
    entry_point="copy_loop",
    prompt=(
        "Write `copy_loop(looped, split)`. It puts the weights of a `LoopedMultiHeadAttention` "
        "into a `SplitMultiHeadAttention` of the same sizes, so that both give equal outputs and "
        "equal gradients. The loop keeps `looped.heads[i].q_proj`, `k_proj`, `v_proj` and "
        "`looped.out_proj`; the split keeps `split.q_proj`, `k_proj`, `v_proj` and `out_proj`."
    ),
    starter="def copy_loop(looped, split):\n    raise NotImplementedError\n",
    hints=(
        "`nn.Linear` keeps its weight as `(out_features, in_features)`. Which rows make head 0?",
        "Stack the heads' weights along the rows, in order; biases too.",
        "Under `torch.no_grad()`: `split.q_proj.weight.copy_(torch.cat([h.q_proj.weight for h in "
        "looped.heads]))`, the same for the bias, for k and v; `out_proj` is copied as it is.",
    ),
    points=3,
    minutes=12,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            modules_case("tiny", "equal_to_the_loop", 2, 2),
            modules_case("large", "any_sizes", 15, 3),
        ),
        reference=copy_weights,
        mistakes=known_in("split_heads.from_loop"),
        adapt=compared,
    ),
)


MODULE = Exercise(
    id="split_heads.module",
    title="The whole split module",
    entry_point="SplitHeads",
    prompt=(
        "Write `class SplitHeads(nn.Module)`: `(embed_dim, num_heads, dropout=0.0)` and "
        "`forward(x, attn_mask=None, is_causal=False) -> (output, weights)`. `output` is "
        "`(N, L, E)`, `weights` is `(N, H, L, L)`. Query, key, value and output projection map E "
        "to E, with bias or without. Masks are boolean, True = may attend, broadcastable to "
        "`(N, H, L, L)`; a mask and `is_causal` may come together. A query that may attend to "
        "nothing gets weights of zero. Dropout falls on the weights, and only in training."
    ),
    starter=(
        "class SplitHeads(nn.Module):\n"
        "    def __init__(self, embed_dim, num_heads, dropout=0.0):\n"
        "        super().__init__()\n"
        "        raise NotImplementedError\n\n"
        "    def forward(self, x, attn_mask=None, is_causal=False):\n"
        "        raise NotImplementedError\n"
    ),
    hints=(
        "Project, split, attend, merge, project. You have the second and the fourth from the "
        "exercises before.",
        "Masks act on the scores, before the softmax; the scale is the root of D, not of E; what "
        "the softmax gives to a row that is blocked entirely has to be set to zero.",
        "`scores = q @ k.transpose(-2, -1) / D**0.5`, "
        "`scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)`, `softmax(dim=-1)`, "
        "`masked_fill(~allowed, 0.0)`, `F.dropout(weights, self.dropout, self.training)`, "
        "`merge_heads(weights @ v)`, then the output projection.",
    ),
    points=5,
    minutes=25,
    difficulty=3,
    probe=ModuleProbe(MISTAKES),
)

EXERCISES = (SPLIT, MERGE, FROM_LOOP, MODULE)
