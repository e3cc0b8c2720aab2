"""Answers as learners write them, in files of text: right ones pass, wrong ones are named.

With them every mistake of an exercise that asks for a function is named in a second style.
"""

import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.checks import EXERCISES, check
from cleanformer_lite.checks.engine.function_probe import FunctionProbe
from tests.checks import right_answers_beyond
from tests.checks.fused_specimens import INIT, SWAPS, answer

FOLDER = Path(__file__).parent / "answers"
Swaps = tuple[tuple[str, str], ...]


def read(name: str) -> Iterator[tuple[list[str], str]]:
    """Yield what stands in the first line of each answer, and its source."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    for block in re.split(r"^#@ ", text, flags=re.MULTILINE)[1:]:
        head, source = block.split("\n", 1)
        yield [part.strip() for part in head.split("|")], source


RIGHT = [(exercise, source) for (exercise, _), source in read("right.txt")]
WRONG = [(exercise, mistake, source) for (exercise, mistake, _), source in read("wrong.txt")]


def run(exercise: str, source: str) -> Any:
    """Run an answer's source, and return what the exercise asks for."""
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "math": math, "__name__": "answer"}
    exec(source, names)
    return names[EXERCISES[exercise].entry_point]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("exercise", "source"), RIGHT, ids=lambda text: text.split("\n")[0][:40])
def test_a_right_answer_passes(exercise: str, source: str) -> None:
    report = check(exercise, run(exercise, source))
    assert report.passed, report


@pytest.mark.filterwarnings("ignore:Converting a tensor")
@pytest.mark.parametrize(
    ("exercise", "mistake", "source"), WRONG, ids=lambda text: text.split("\n")[0][:40]
)
def test_a_wrong_answer_is_named(exercise: str, mistake: str, source: str) -> None:
    report = check(exercise, run(exercise, source))
    assert not report.passed
    assert (", ".join(report.species) or "-") == mistake, report


# The module with lines exchanged, as an answer to exercises that ask for a part of it.
def as_forward(swaps: Swaps) -> Callable[..., Any]:
    def fused_forward(
        x: Tensor, in_weight: Tensor, out_weight: Tensor, num_heads: int, attn_mask: Any = None,
        is_causal: bool = False, dropout: float = 0.0, training: bool = False,
    ) -> Tensor:  # fmt: skip
        layers = SimpleNamespace(
            qkv=lambda x: F.linear(x, in_weight), proj=lambda x: F.linear(x, out_weight),
            h=num_heads, d=x.shape[-1] // num_heads, p=dropout, training=training,
        )  # fmt: skip
        output: Tensor = answer(*swaps).forward(layers, x, attn_mask, is_causal)[0]
        return output

    return fused_forward


def as_run(swaps: Swaps) -> Callable[..., Any]:
    def run_heads(x: Tensor, *weights: Tensor) -> Any:
        layers = SimpleNamespace(
            qkv=lambda x: F.linear(x, torch.cat([w.flatten(0, 1) for w in weights])),
            proj=lambda x: x, h=len(weights[0]), d=weights[0].shape[1], p=0.0, training=False,
        )  # fmt: skip
        return answer(*swaps).forward(layers, x)

    return run_heads


def as_sliced(swaps: Swaps) -> Callable[..., Any]:
    class Sliced(nn.Module):
        def __init__(self, embed_dim: int, num_heads: int) -> None:
            super().__init__()
            d = embed_dim // num_heads
            self.h, self.d, self.p = num_heads, d, 0.0
            self.small = nn.ParameterList(
                nn.Parameter(torch.zeros(d, d)) for _ in range(3 * self.h)
            )
            self.proj = nn.Linear(embed_dim, embed_dim, bias=False)

        def qkv(self, x: Tensor) -> Tensor:
            parts = [torch.block_diag(*self.small[i::3]) for i in range(3)]
            return F.linear(x, torch.cat(parts))

        def forward(self, x: Tensor) -> Any:
            return answer(*swaps).forward(self, x)

    return Sliced


MADE = {
    "fused_heads.forward": as_forward,
    "looped_heads.run": as_run,
    "sliced_heads.module": as_sliced,
}


def known(exercise: str) -> dict[str, Any]:
    probe = EXERCISES[exercise].probe
    return probe.mistakes if isinstance(probe, FunctionProbe) else {}


# Swaps that change the layers, not the computation, say nothing of a function.
FROM_SWAPS = [
    (exercise, mistake, swaps)
    for exercise in MADE
    for mistake, variants in SWAPS.items()
    if mistake in known(exercise)
    for swaps in variants
    if not any(old == INIT or "nn.Linear" in old for old, _ in swaps)
]


@pytest.mark.parametrize(("exercise", "mistake", "swaps"), FROM_SWAPS)
def test_lines_of_the_module_are_named_alike_or_not_at_all(
    exercise: str, mistake: str, swaps: Swaps
) -> None:
    """What an exercise does not ask for cannot be seen there; two faults at once have no name."""
    assert species_of(exercise, swaps) in ((mistake,), ())


@cache
def species_of(exercise: str, swaps: Swaps) -> tuple[str, ...]:
    return check(exercise, MADE[exercise](swaps)).species


def test_every_mistake_of_a_function_has_a_second_style() -> None:
    wanted = {(exercise, mistake) for exercise in EXERCISES for mistake in known(exercise)}
    wanted -= {(exercise, mistake) for exercise, mistake, _ in right_answers_beyond.WRONG}
    wanted -= {(exercise, mistake) for exercise, mistake, _ in WRONG}
    for exercise, mistake, swaps in FROM_SWAPS:
        if (exercise, mistake) in wanted and species_of(exercise, swaps) == (mistake,):
            wanted.remove((exercise, mistake))
    assert wanted == set()
