"""Mistakes of attention that is read in blocks. Wrong on purpose."""

from functools import partial

import torch

from cleanformer_lite.checks.engine.references import attention
from cleanformer_lite.checks.mistake import mistake
from cleanformer_lite.checks.mistakes.forms import in_blocks, merged_with


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
        "fused_heads.merge": (
            merged_with(),
            merged_with("old total"),
            merged_with("old mean"),
            merged_with("old total", "new total"),
            merged_with("old mean", "new mean"),
            merged_with("old total", "old mean"),
            merged_with("new total", "new mean"),
        ),
        "fused_heads.blocked": tuple(
            partial(in_blocks, rescale=named)
            for named in (
                (),
                ("old total", "new total"),
                ("old mean", "new mean"),
                ("new total", "new mean"),
                ("old total", "old mean"),
            )
        ),
    }


@mistake(
    cause="each block takes a softmax of its own, and the results are averaged",
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
        "fused_heads.blocked": (partial(in_blocks, apart=True),),
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
