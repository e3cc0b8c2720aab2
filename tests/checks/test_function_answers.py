"""Exercises that ask for a function: right ones pass, mistakes are named, in any style."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cleanformer_lite
from cleanformer_lite.checks import EXERCISES, MISTAKES, check, judge, observe
from cleanformer_lite.checks.course.sliced_module import rank
from cleanformer_lite.checks.engine.function_probe import FunctionProbe
from tests.checks import right_answers_beyond

FUNCTIONS = {
    name: exercise.probe
    for name, exercise in EXERCISES.items()
    if isinstance(exercise.probe, FunctionProbe)
}


def sdpa(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    eye = torch.eye(k.shape[-2]).expand(*k.shape[:-1], k.shape[-2])
    return (
        F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask),
        F.scaled_dot_product_attention(q, k, eye, attn_mask=attn_mask),
    )


def by_einsum(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    scores = torch.einsum("...ld,...sd->...ls", query, key).div(query.shape[-1] ** 0.5)
    if attn_mask is not None:
        scores = scores.masked_fill(attn_mask.logical_not(), -torch.inf)
    weights = scores.softmax(-1)
    weights = weights if attn_mask is None else weights.nan_to_num(0.0)
    return torch.einsum("...ls,...sd->...ld", weights, value), weights


def split_by_unfold(x: Tensor, num_heads: int) -> Tensor:
    width = x.shape[-1] // num_heads
    return x.unfold(-1, width, width).movedim(2, 1)


def package(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    return cleanformer_lite.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)


def scores_by_einsum(query: Tensor, key: Tensor) -> Tensor:
    scores = torch.einsum("...ld,...sd->...ls", query, key)
    return scores * float(query.size(-1) ** -0.5)


RIGHT: list[tuple[str, Callable[..., Any]]] = [
    ("single_head.attention", package),
    ("single_head.attention", sdpa),
    ("single_head.attention", by_einsum),
    (
        "single_head.scores",
        lambda q, k: torch.einsum("...ld,...sd->...ls", q, k) * q.size(-1) ** -0.5,
    ),
    ("split_heads.split", cleanformer_lite.split_heads),
    ("split_heads.split", split_by_unfold),
    ("split_heads.split", lambda x, num_heads: torch.stack(x.chunk(num_heads, -1), 1)),
    ("split_heads.merge", cleanformer_lite.merge_heads),
    ("split_heads.merge", lambda x: torch.cat(x.unbind(1), dim=-1)),
    ("split_heads.merge", lambda x: torch.einsum("nhld->nlhd", x).flatten(2)),
    ("looped_heads.join", lambda outputs: torch.stack(outputs, 2).flatten(2)),
    ("split_heads.from_loop", cleanformer_lite.copy_weights),
    *right_answers_beyond.RIGHT,
]


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_right_functions_pass_in_every_style(exercise: str, answer: Callable[..., Any]) -> None:
    report = check(exercise, answer)
    assert report.passed, report
    assert report.species == ()


@pytest.mark.parametrize("exercise", FUNCTIONS)
def test_every_mistake_of_an_exercise_is_rejected_and_named(exercise: str) -> None:
    for species, variants in FUNCTIONS[exercise].mistakes.items():
        assert species in MISTAKES
        for wrong in variants:
            report = check(exercise, wrong)
            assert not report.passed
            assert report.species == (species,), (species, report)


@pytest.mark.parametrize(
    ("exercise", "species", "answer"),
    [
        *right_answers_beyond.WRONG,
        (
            "split_heads.split",
            "split_without_transpose",
            lambda x, h: torch.einsum("nhld->nhld", x.view(len(x), h, x.shape[1], -1)),
        ),
        (
            "split_heads.merge",
            "merge_without_transpose",
            lambda x: torch.einsum("nhld->nhld", x).flatten().view(len(x), x.shape[2], -1),
        ),
        (
            "single_head.attention",
            "softmax_over_queries",
            lambda q, k, v, attn_mask=None: weighted(q, k, v, attn_mask, torch.finfo().min, -2),
        ),
        (
            "single_head.attention",
            "nan_rows",
            lambda q, k, v, attn_mask=None: weighted(q, k, v, attn_mask, -torch.inf, -1),
        ),
    ],
)
def test_a_mistake_is_named_by_what_it_does(
    exercise: str, species: str, answer: Callable[..., Any]
) -> None:
    assert check(exercise, answer).species == (species,)


def weighted(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None, low: float, dim: int
) -> tuple[Tensor, Tensor]:
    fit = torch.einsum("...ld,...sd->...ls", q, k) / q.shape[-1] ** 0.5
    if attn_mask is not None:
        fit = torch.where(attn_mask, fit, torch.tensor(low))
    weights = torch.exp(F.log_softmax(fit, dim=dim))
    if attn_mask is not None and dim == -2:
        weights = weights * attn_mask
    return torch.einsum("...ls,...sd->...ld", weights, v), weights


def test_a_mistake_that_nobody_knows_is_not_named_and_still_shown() -> None:
    report = check("split_heads.merge", lambda x: x.flip(1).transpose(1, 2).flatten(2))
    assert report.species == ()
    assert report.failed[0] == "tokens_stay_whole"
    assert report.counterexample is not None
    assert report.counterexample.yours == "[[[3, 1], [4, 2]]]"
    assert report.counterexample.target == "[[[1, 3], [2, 4]]]"


def test_numbers_to_check_by_hand_come_first() -> None:
    report = check("split_heads.split", lambda x, h: x.view(len(x), h, x.shape[1], -1))
    assert report.counterexample is not None
    assert report.counterexample.inputs == "x = [[[1, 2], [3, 4]]], num_heads = 2"


def test_lists_of_layers_are_found_without_help_of_the_optimizer() -> None:
    def everything(module: nn.Module) -> list[str]:
        return [name for name, value in vars(module).items() if isinstance(value, list)]

    assert not check("registration_bug.find", everything).passed


def reads_by_gradient(maps_of: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Look at the gradient of every weight; where a softmax is all or nothing there is none."""
    leaf = x.clone().requires_grad_()
    maps = maps_of(leaf)
    lines = []
    for head in maps.unbind(1):
        slopes = [
            torch.autograd.grad(weight, leaf, retain_graph=True)[0].abs().amax((0, 1))
            for weight in head.flatten()
        ]
        lines.append(torch.stack(slopes).amax(0) > 1e-8)
    return torch.stack(lines)


def test_no_seed_makes_a_softmax_that_hides_what_is_read() -> None:
    exercise = EXERCISES["sliced_heads.reads"]
    refused = [
        seed
        for seed in range(60)
        if not judge(exercise, observe(exercise, reads_by_gradient, seed), seed).passed
    ]
    assert refused == []


def test_weights_that_happen_to_be_nearly_singular_refuse_nobody() -> None:
    """Drawn at random, one output projection in a thousand is: a head's rank is asked anew."""
    module = right_answers_beyond.SlicedByEinsum(15, 3)
    with torch.no_grad():
        module.last.copy_(torch.diag(torch.tensor([1e-9, *[1.0] * 14])))
    assert rank(module, torch.zeros(1, 1, 15)) == 15

    class OneHeadLost(right_answers_beyond.SlicedByEinsum):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            output, weights = super().forward(x)
            return output - super().forward(x * (torch.arange(15) < 5))[0], weights

    assert rank(OneHeadLost(15, 3), torch.zeros(1, 1, 15)) == 10
