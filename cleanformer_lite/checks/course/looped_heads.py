"""Exercises of the chapter on the loop: join heads, run heads, the whole module."""

import torch
from torch import Generator

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.module_probe import ModuleProbe
from cleanformer_lite.checks.engine.trials import Contract, draw
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import MISTAKES, known_in


def join_case(name: str, fails: str, heads: int, *shape: int) -> Case:
    """A case of `join_heads`: counted numbers when there are few."""
    size = int(torch.Size(shape).numel())
    small = size <= 4

    def make(generator: Generator) -> Arguments:
        outputs = [
            torch.arange(1.0, size + 1).view(shape) + 10 * head
            if small
            else torch.randn(shape, generator=generator)
            for head in range(heads)
        ]
        return {"outputs": outputs}

    return Case(name, fails, make, gradient=not small)


JOIN = Exercise(
    id="looped_heads.join",
    title="Lay the heads side by side",
    entry_point="join_heads",
    prompt=(
        "Write `join_heads(outputs)`. `outputs` is a list of H tensors `(N, L, D)`, one for each "
        "head; the result is `(N, L, E)`, where a token's first D features come from head 0, the "
        "next D from head 1, and so on."
    ),
    starter="def join_heads(outputs):\n    raise NotImplementedError\n",
    hints=(
        "No number has to be computed: they have to be put side by side.",
        "Along which axis does a token get longer?",
        "`torch.cat(outputs, dim=-1)`",
    ),
    points=1,
    minutes=3,
    difficulty=1,
    probe=FunctionProbe(
        cases=(
            join_case("tiny", "tokens_stay_whole", 2, 1, 2, 1),
            join_case("tiny_wide", "heads_hold_neighbours", 2, 1, 2, 2),
            join_case("large", "any_sizes", 3, 2, 5, 7),
        ),
        reference=references.join_heads,
        mistakes=known_in("looped_heads.join"),
    ),
)


def run_case(name: str, fails: str, *sizes: int) -> Case:
    """A case of `run_heads`: sizes are N, L, H, D."""
    batch, length, heads, width = sizes
    small = heads * width <= 2

    def make(generator: Generator) -> Arguments:
        embed_dim = heads * width
        made = {"x": draw(generator, batch, length, embed_dim, by_hand=small)}
        for projection in ("query_weights", "key_weights", "value_weights"):
            shape = (heads, width, embed_dim)
            made[projection] = draw(generator, *shape, by_hand=small) / embed_dim**0.25
            if small:
                made[projection] = draw(generator, *shape, by_hand=True)
        return made

    return Case(name, fails, make, gradient=not small)


RUN = Exercise(
    id="looped_heads.run",
    title="Run the heads one by one",
    entry_point="run_heads",
    prompt=(
        "Write `run_heads(x, query_weights, key_weights, value_weights) -> (output, weights)`. `x` "
        "is `(N, L, E)`; the three weights are `(H, D, E)`: `query_weights[h]` is what an "
        "`nn.Linear(E, D)` of head h would keep. `output` is `(N, L, E)`, the heads side by side, "
        "and `weights` is `(N, H, L, L)`. There is no mask and no output projection."
    ),
    starter=(
        "def run_heads(x, query_weights, key_weights, value_weights):\n"
        "    raise NotImplementedError\n"
    ),
    hints=(
        "What one head does you know: project three times, attend.",
        "A head projects all of x: `x @ query_weights[h].T`. Its scale is the root of D.",
        "Collect `attention(...)` for every head; `torch.cat` the outputs along the last axis, "
        "`torch.stack` the maps along axis 1.",
    ),
    points=2,
    minutes=10,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            run_case("tiny", "by_hand", 1, 2, 2, 1),
            run_case("large", "any_sizes", 2, 5, 3, 7),
        ),
        reference=references.run_heads,
        mistakes=known_in("looped_heads.run"),
    ),
)


MODULE = Exercise(
    id="looped_heads.module",
    title="The whole looped module",
    entry_point="LoopedHeads",
    prompt=(
        "Write `class LoopedHeads(nn.Module)`: `(embed_dim, num_heads)` and "
        "`forward(x, attn_mask=None) -> (output, weights)`. `output` is `(N, L, E)`, `weights` is "
        "`(N, H, L, L)`. Each head projects E to D = E / H three times; an output projection maps "
        "E to E; with bias or without. `attn_mask` is boolean, True = may attend, broadcastable to "
        "`(N, H, L, L)`; a query that may attend to nothing gets weights of zero."
    ),
    starter=(
        "class LoopedHeads(nn.Module):\n"
        "    def __init__(self, embed_dim, num_heads):\n"
        "        super().__init__()\n"
        "        raise NotImplementedError\n\n"
        "    def forward(self, x, attn_mask=None):\n"
        "        raise NotImplementedError\n"
    ),
    hints=(
        "Layers in `__init__`, in an `nn.ModuleList`; the loop in `forward`.",
        "A mask that broadcasts to `(N, H, L, L)` may be another for every head: expand it, then "
        "take head h's part.",
        "`masks = attn_mask.expand(N, H, L, L)`; for head h attend under `masks[:, h]`; "
        "`torch.cat(outputs, dim=-1)`, `torch.stack(maps, dim=1)`, then the output projection.",
    ),
    points=4,
    minutes=20,
    difficulty=3,
    probe=ModuleProbe(MISTAKES, Contract(causal=False, dropout=False)),
)

EXERCISES = (JOIN, RUN, MODULE)
