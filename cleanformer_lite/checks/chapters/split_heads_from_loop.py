"""Exercise: turn the weights of a loop into those of a split module."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, nn

from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe
from cleanformer_lite.copy_weights import copy_weights
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.split_heads import SplitMultiHeadAttention


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
        leaf = x.clone().requires_grad_()
        output, weights = split(leaf, need_weights=True)
        loss = torch.sum(output * torch.linspace(1, 2, output.numel()).view(output.shape))
        (gradient,) = torch.autograd.grad(loss, leaf)
        return {"weights": weights, "output": output, "gradient": gradient}

    return run


@torch.no_grad()
def value_from_key(looped: nn.Module, split: SplitMultiHeadAttention) -> None:
    """SPECIMEN, wrong on purpose: the values get the weights of the keys."""
    copy_weights(looped, split)
    split.v_proj.load_state_dict(split.k_proj.state_dict())


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
        mistakes={"value_uses_key": (value_from_key,)},
        adapt=compared,
    ),
)
