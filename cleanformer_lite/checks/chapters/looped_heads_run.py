"""Exercise: run the heads one by one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from cleanformer_lite.checks.chapters import plain
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.probes import draw


def joined(outputs: list[Tensor]) -> Tensor:
    """Write each head's numbers into its own columns."""
    width = outputs[0].shape[-1]
    result = outputs[0].new_zeros(*outputs[0].shape[:-1], width * len(outputs))
    for head, output in enumerate(outputs):
        result[..., head * width : (head + 1) * width] = output
    return result


def run(
    x: Tensor, query_weights: Tensor, key_weights: Tensor, value_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Run the heads one by one."""
    results = [
        plain.attention(x @ query.t(), x @ key.t(), x @ value.t())
        for query, key, value in zip(query_weights, key_weights, value_weights, strict=True)
    ]
    outputs, maps = zip(*results, strict=True)
    return joined(list(outputs)), torch.stack(maps, dim=1)


def all_at_once(
    scale: Callable[[int, int], float], dim: int = -1, swapped: bool = False, merge: bool = True
) -> Callable[..., Any]:
    """SPECIMEN: the heads by `einsum`, with one thing wrong."""

    def attend(
        x: Tensor, query_weights: Tensor, key_weights: Tensor, value_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        query = torch.einsum("nle,hde->nhld", x, query_weights)
        key = torch.einsum("nle,hde->nhld", x, key_weights)
        value = torch.einsum("nle,hde->nhld", x, value_weights)
        scores = torch.einsum("nhld,nhsd->nhls", query, key)
        weights = torch.softmax(scores * scale(x.shape[-1], query.shape[-1]), dim=dim)
        mixed = (weights.transpose(-2, -1) if swapped else weights) @ value
        mixed = mixed.transpose(1, 2) if merge else mixed
        return mixed.reshape(*x.shape[:2], -1), weights

    return attend


def right_scale(embed_dim: int, head_dim: int) -> float:
    """Return one over the root of D."""
    return float(head_dim**-0.5)


def run_case(name: str, fails: str, *sizes: int) -> Case:
    """A case of `run_heads`: sizes are N, L, H, D."""
    batch, length, heads, width = sizes

    def make(generator: Generator) -> Arguments:
        small = name.startswith("tiny")
        embed_dim = heads * width
        made = {"x": draw(generator, batch, length, embed_dim, by_hand=small)}
        for projection in ("query_weights", "key_weights", "value_weights"):
            shape = (heads, width, embed_dim)
            made[projection] = draw(generator, *shape, by_hand=small) / embed_dim**0.25
            if small:
                made[projection] = draw(generator, *shape, by_hand=True)
        return made

    return Case(name, fails, make, gradient=not name.startswith("tiny"))


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
        reference=run,
        mistakes={
            "scaled_by_embed_dim": (all_at_once(lambda e, d: e**-0.5),),
            "scale_inverted": (all_at_once(lambda e, d: d**0.5),),
            "scale_missing": (all_at_once(lambda e, d: 1.0),),
            "softmax_over_queries": (all_at_once(right_scale, dim=-2),),
            "einsum_axes_swapped": (all_at_once(right_scale, swapped=True),),
            "merge_without_transpose": (all_at_once(right_scale, merge=False),),
            "value_uses_key": (lambda x, q, k, v: run(x, q, k, k),),
            "shared_layer": (lambda x, q, k, v: run(x, *(w[:1].expand_as(w) for w in (q, k, v))),),
        },
    ),
)
