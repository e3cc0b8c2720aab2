"""Mistakes in attention that is read in blocks. Wrong on purpose."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from cleanformer_lite.checks.engine.references import Block, attention
from cleanformer_lite.checks.mistake import mistake
from cleanformer_lite.checks.mistakes.forms import EVERY, SOME, in_blocks, merged_with


def _rescaled_by_the_printed_formula(
    query: Tensor, key: Tensor, value: Tensor, block: int
) -> Tensor:
    """Multiply the mean so far by the new total over the old one, as a misprint has it."""
    top = torch.full((len(query), 1), -torch.inf)
    total, mean = torch.zeros(len(query), 1), torch.zeros(len(query), value.shape[-1])
    for first in range(0, len(key), block):
        scores = query @ key[first : first + block].T / query.shape[-1] ** 0.5
        new_top = torch.maximum(top, scores.amax(-1, keepdim=True))
        powers = torch.exp(scores - new_top)
        shrink = torch.exp(top - new_top)
        new_total = shrink * total + powers.sum(-1, keepdim=True)
        scale = torch.where(total > 0, new_total / total, torch.zeros_like(total))
        mean = scale * mean + powers @ value[first : first + block] / new_total
        top, total = new_top, new_total
    return mean


@mistake(
    cause="sums made under different maxima are added as they are",
    symptom="right as long as the largest score comes first",
    hints=(
        "Give the second block a much larger score than the first.",
        "Old numbers were divided by the exponential of the old maximum. What is it now?",
        "Multiply each side's total and mean by `exp(its top - new top)`, then add.",
    ),
)
class OnlineNotRescaled:
    """Adds numbers that were made under another maximum."""

    forms = {
        "fused_heads.merge": tuple(merged_with(*chosen) for chosen in SOME),
        "fused_heads.blocked": (
            _rescaled_by_the_printed_formula,
            *(partial(in_blocks, rescale=chosen) for chosen in SOME),
        ),
    }


@mistake(
    cause="each block takes a softmax of its own, and the results are averaged or added up",
    symptom="a key in a poor block gets as much as a key in a good one",
    hints=(
        "Give one block very low scores. How much do its values count?",
        "By which sum has a weight to be divided: its block's, or its row's?",
        "Keep the mean undivided and the total beside it; divide once, at the end.",
    ),
)
class SoftmaxPerBlock:
    """Takes the mean of what each block gives by itself."""

    forms = {
        "fused_heads.blocked": (
            partial(in_blocks, apart=True),
            lambda query, key, value, block: (
                in_blocks(query, key, value, block, apart=True) * -(-len(key) // block)
            ),
        ),
    }


@mistake(
    cause="the loop runs over whole blocks, and the keys left over are never read",
    symptom="right whenever the block size divides the number of keys",
    hints=(
        "Try 3 keys in blocks of 2.",
        "How many blocks does your loop see for 3 keys and blocks of 2?",
        "`for first in range(0, len(key), block)`: the last slice may be shorter.",
    ),
)
class LastBlockDropped:
    """Reads whole blocks alone."""

    forms = {
        "fused_heads.blocked": (partial(in_blocks, whole=True),),
    }


@mistake(
    cause="the scores of all keys are made at once",
    symptom="the answer is right, and the memory is that of the plain way",
    hints=(
        "How many scores of a query are alive at once?",
        "Look for a product with the whole of `key`.",
        "`scores = query @ key[first : first + block].T`, inside the loop.",
    ),
)
class TableKeptWhole:
    """Attends in one piece."""

    forms = {
        "fused_heads.blocked": (
            lambda query, key, value, block: attention(query, key, value)[0],
            lambda query, key, value, block: (
                torch.softmax(query @ key.T / query.shape[-1] ** 0.5, dim=-1) @ value
            ),
        ),
    }


def _padded_with_zeros(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    more = (0, 0, 0, -len(key) % block)
    return in_blocks(query, F.pad(key, more), F.pad(value, more), block)


@mistake(
    cause="the last block is filled up with zeros, and a score of 0 is a weight like another",
    symptom="right whenever the block size divides the number of keys",
    hints=(
        "Try 3 keys in blocks of 2.",
        "What score does a key of zeros have? What is the exponential of it?",
        "Let the last slice be shorter, or fill its scores with minus infinity.",
    ),
)
class PaddingBlockHasWeight:
    """Pads keys and values with zeros."""

    forms = {"fused_heads.blocked": (_padded_with_zeros,)}


def _merged_upside_down(
    top: Tensor, total: Tensor, mean: Tensor, other_top: Tensor, other_total: Tensor, other: Tensor
) -> Block:
    """Leave a side whose top stays as it is, and scale the other up."""
    new = torch.maximum(top, other_top)
    up, down = (
        torch.where(old == new, torch.ones_like(old), torch.exp(new - old))
        for old in (top, other_top)
    )
    return new, total * up + other_total * down, mean * up + other * down


# What is rescaled, and which side's factor is upside down.
UPSIDE_DOWN = (
    *((EVERY, sides) for sides in (("old", "new"), ("old",), ("new",))),
    *((EVERY[:2], ("old",)), (EVERY[2:], ("new",))),
)


@mistake(
    cause="the factor between two maxima is upside down: `exp(new - old)` for `exp(old - new)`",
    symptom="right as long as the maximum stays; it overflows when the maximum grows much",
    hints=(
        "Give the second block a much larger score than the first.",
        "Should a sum made under a lower maximum get larger or smaller under a higher one?",
        "`torch.exp(top - new_top)`: it is at most 1.",
    ),
)
class RescaleInverted:
    """Takes the factors upside down."""

    forms = {
        "fused_heads.merge": (
            _merged_upside_down,
            *(merged_with(*chosen, inverted=sides) for chosen, sides in UPSIDE_DOWN),
        ),
        "fused_heads.blocked": tuple(
            partial(in_blocks, rescale=chosen, inverted=sides)
            for chosen, sides in UPSIDE_DOWN
            if "old" in sides
        ),
    }
