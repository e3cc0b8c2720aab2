"""Exercises of the chapter on one head: scores, masks, attention."""

import torch
from torch import Generator, Tensor

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.trials import draw
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import known_in


def drawn(generator: Generator, *shape: int) -> Tensor:
    """Draw numbers that can be checked by hand where there are few of them."""
    few = 1
    for size in shape:
        few *= size
    return draw(generator, *shape, by_hand=few <= 4)


def scores_case(name: str, fails: str, lead: tuple[int, ...], *sizes: int) -> Case:
    """A case of `scores`: sizes are L, S, D."""
    length, keys, width = sizes
    small = length * keys * width <= 8

    def make(generator: Generator) -> Arguments:
        query = drawn(generator, *lead, length, width)
        return {"query": query, "key": drawn(generator, *lead, keys, width)}

    return Case(name, fails, make, gradient=not small)


SCORES = Exercise(
    id="single_head.scores",
    title="How well does a query fit a key?",
    entry_point="scores",
    prompt=(
        "Write `scores(query, key)`. `query` is `(..., L, D)`, `key` is `(..., S, D)`; the result "
        "`(..., L, S)` holds every query's product with every key, divided by the root of D."
    ),
    starter="def scores(query, key):\n    raise NotImplementedError\n",
    hints=(
        "One matrix product gives all of them. What must happen to `key` before it?",
        "Exchange the last two axes of `key`, whatever stands before them; then scale.",
        "`query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5`",
    ),
    points=1,
    minutes=4,
    difficulty=1,
    probe=FunctionProbe(
        cases=(
            scores_case("tiny", "product", (), 1, 2, 1),
            scores_case("tiny_scale", "scale", (), 1, 2, 2),
            scores_case("lengths", "unequal_lengths", (), 3, 5, 7),
            scores_case("lead", "any_leading_axes", (2, 3), 5, 4, 7),
        ),
        reference=references.scores,
        mistakes=known_in("single_head.scores"),
    ),
)


def mask_case(name: str, fails: str, allowed: list[list[int]], half: bool = False) -> Case:
    """A case of `masked_softmax`: rows of 0 and 1, put before two leading axes when large."""

    mask = references.mask(allowed)
    small = mask.numel() <= 4

    def make(generator: Generator) -> Arguments:
        lead = () if small else (2, 3)
        scores = drawn(generator, *lead, *mask.shape)
        return {"scores": scores.half() if half else scores, "attn_mask": mask.clone()}

    return Case(name, fails, make, gradient=not half and not small)


def _low_scores(generator: Generator) -> Arguments:
    """Allowed scores so low that a fill of -10 leaves blocked keys the most."""
    low = torch.tensor([[-30.0, -31.0, 3.0], [2.0, -15.0, -30.0]])
    return {"scores": low, "attn_mask": references.mask([[1, 1, 0], [0, 1, 1]])}


MASK = Exercise(
    id="single_head.mask",
    title="A softmax that leaves out what is masked",
    entry_point="masked_softmax",
    prompt=(
        "Write `masked_softmax(scores, attn_mask)`. `scores` is `(..., L, S)`; `attn_mask` is "
        "boolean, True = may attend, and broadcasts to it. Every row of the result sums to 1 over "
        "the allowed keys and is 0 elsewhere; a row with no allowed key is 0 throughout. It has to "
        "work for `float16` scores too, and gradients have to be finite."
    ),
    starter="def masked_softmax(scores, attn_mask):\n    raise NotImplementedError\n",
    hints=(
        "The exponential of 0 is 1. So which score makes a weight of 0?",
        "Fill masked scores with the smallest number of their own dtype, before the softmax. Then "
        "look at a row in which everything is masked.",
        "`filled = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)`, then "
        "`torch.softmax(filled, dim=-1).masked_fill(~attn_mask, 0.0)`",
    ),
    points=2,
    minutes=8,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            mask_case("tiny_open", "rows_sum_to_one", [[1, 1], [1, 1]]),
            mask_case("tiny", "masked_keys_get_nothing", [[1, 0], [1, 1]]),
            mask_case("tiny_blind", "blind_rows_are_zero", [[0, 0], [1, 1]]),
            mask_case("large", "any_leading_axes", [[1, 0, 1, 1, 0], [1, 1, 1, 0, 1]]),
            mask_case("blind", "finite_gradients", [[0, 0, 0, 0, 0], [1, 1, 1, 0, 1]]),
            Case("low", "any_scores", _low_scores),
            mask_case("half", "half_precision", [[1, 0, 1, 1, 0], [1, 1, 1, 0, 1]], half=True),
        ),
        reference=references.masked_softmax,
        mistakes=known_in("single_head.mask"),
    ),
)


def attention_case(
    name: str,
    fails: str,
    sizes: tuple[int, int, int],
    allowed: list[list[int]] | None = None,
    lead: tuple[int, ...] = (),
) -> Case:
    """A case of `attention`: sizes are L, S, D; the mask is left out if there is none."""
    length, keys, width = sizes
    small = length * keys * width <= 8

    def make(generator: Generator) -> Arguments:
        made = {
            "query": drawn(generator, *lead, length, width),
            "key": drawn(generator, *lead, keys, width),
            "value": drawn(generator, *lead, keys, width),
        }
        return made if allowed is None else {**made, "attn_mask": references.mask(allowed)}

    return Case(name, fails, make, gradient=not small)


def _low_attention(generator: Generator) -> Arguments:
    """A case of `attention` in which all allowed scores are far below zero."""
    return {
        "query": torch.tensor([[6.0], [-5.0]]),
        "key": torch.tensor([[-4.5], [-5.0], [0.5]]),
        "value": torch.tensor([[1.0], [2.0], [4.0]]),
        "attn_mask": references.mask([[1, 1, 0], [0, 1, 1]]),
    }


ATTENTION = Exercise(
    id="single_head.attention",
    title="Scaled dot-product attention",
    entry_point="attention",
    prompt=(
        "Write `attention(query, key, value, attn_mask=None) -> (output, weights)`. `query` is "
        "`(..., L, D)`, `key` and `value` are `(..., S, D)`; `output` is `(..., L, D)` and "
        "`weights` is `(..., L, S)`. `attn_mask` is boolean, True = may attend, and broadcasts to "
        "the weights; a query that may attend to nothing gets zeros in both."
    ),
    starter="def attention(query, key, value, attn_mask=None):\n    raise NotImplementedError\n",
    hints=(
        "Scores, mask, softmax, weighted mean: you have written the first three.",
        "The softmax runs over the keys, the last axis; the mask acts before it.",
        "`weights = masked_softmax(scores(query, key), attn_mask)`, or a plain softmax without a "
        "mask, and `return weights @ value, weights`.",
    ),
    points=3,
    minutes=12,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            attention_case("tiny", "rows_sum_to_one", (2, 2, 1)),
            attention_case("tiny_scale", "scale", (2, 2, 2)),
            attention_case("tiny_mask", "masked_keys_get_nothing", (2, 2, 1), [[1, 0], [1, 1]]),
            attention_case("tiny_blind", "blind_rows_are_zero", (2, 2, 1), [[0, 0], [1, 1]]),
            attention_case("lengths", "unequal_lengths", (3, 5, 7)),
            Case("low", "any_scores", _low_attention),
            attention_case("lead", "any_leading_axes", (3, 5, 7), lead=(2, 4)),
            attention_case(
                "blind", "finite_gradients", (2, 3, 5), [[0, 0, 0], [1, 0, 1]], lead=(4,)
            ),
        ),
        reference=references.attention,
        mistakes=known_in("single_head.attention"),
    ),
)

EXERCISES = (SCORES, MASK, ATTENTION)
