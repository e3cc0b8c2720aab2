"""Exercises of the chapter on the whole Transformer: positions, masks, loss, decoding."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cleanformer_lite.checks.chapters.transformer_greedy import GREEDY
from cleanformer_lite.checks.chapters.transformer_loss import LOSS
from cleanformer_lite.checks.chapters.transformer_masks import DECODER_MASK, PADDING_MASK
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe


def marked(places: Tensor, embed_dim: int) -> Tensor:
    """Compute one number after the other."""
    rows = []
    for place in places.tolist():
        row = []
        for pair in range(embed_dim // 2):
            angle = place / 10_000 ** (2 * pair / embed_dim)
            row += [math.sin(angle), math.cos(angle)]
        rows.append(row)
    return torch.tensor(rows)


def waves(
    sine: Callable[[Tensor], Tensor], cosine: Callable[[Tensor], Tensor], halves: bool = False
) -> Callable[[Tensor, int], Tensor]:
    """SPECIMEN: other exponents, made from the even numbers below E, or another order."""

    def mark(places: Tensor, embed_dim: int) -> Tensor:
        even = torch.arange(0, embed_dim, 2)
        sines, cosines = (
            wave(places[:, None] / 10_000.0 ** (exponent(even) / embed_dim))
            for wave, exponent in ((torch.sin, sine), (torch.cos, cosine))
        )
        if halves:
            return torch.cat([sines, cosines], dim=-1)
        return torch.stack([sines, cosines], dim=-1).flatten(1)

    return mark


def places_case(name: str, fails: str, length: int, embed_dim: int) -> Case:
    """A case of `mark_positions`: some places, not in order."""

    def make(generator: Generator) -> Arguments:
        places = torch.randperm(30, generator=generator)[:length] + 1
        if name == "tiny_first":
            places = torch.zeros_like(places)
        return {"places": places, "embed_dim": embed_dim}

    return Case(name, fails, make)


POSITIONS = Exercise(
    id="transformer.positions",
    title="Mark the places",
    entry_point="mark_positions",
    prompt=(
        "Write `mark_positions(places, embed_dim)`. `places` is `(L,)`, whole numbers; `embed_dim` "
        "is even; the result is `(L, E)`. Numbers 2i and 2i + 1 of a row are the sine and the "
        "cosine of `place / 10000 ** (2i / E)`, for i = 0, 1, 2, ... up to E / 2 - 1."
    ),
    starter="def mark_positions(places, embed_dim):\n    raise NotImplementedError\n",
    hints=(
        "E / 2 angles a place; each is used twice.",
        "`torch.arange(0, embed_dim, 2)` counts 2i, not i. Do not double it once more.",
        "`angle = places[:, None] / 10000 ** (torch.arange(0, embed_dim, 2) / embed_dim)`, then "
        "`torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)`.",
    ),
    points=2,
    minutes=8,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            places_case("tiny_first", "place_zero", 1, 4),
            places_case("tiny", "sines_and_cosines_take_turns", 1, 4),
            places_case("large", "any_sizes", 5, 14),
        ),
        reference=marked,
        mistakes={
            "positions_exponent_doubled": (
                waves(lambda even: 2 * even, lambda even: 2 * even),
                waves(lambda even: 2 * even, lambda even: 2 * (even + 1)),
            ),
            "positions_in_halves": (waves(lambda even: even, lambda even: even, halves=True),),
        },
    ),
)

EXERCISES = (PADDING_MASK, DECODER_MASK, POSITIONS, LOSS, GREEDY)
