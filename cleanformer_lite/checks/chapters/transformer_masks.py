"""Exercises: a padding mask, and a mask that is causal as well."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe


def with_dtype(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return the mask and its dtype: ones and zeros are no mask."""

    def run(tokens: Tensor, padding: int) -> Any:
        mask = answer(tokens, padding)
        return {"mask": mask, "dtype": str(mask.dtype)} if isinstance(mask, Tensor) else mask

    return run


def tokens_case(name: str, fails: str, rows: list[list[int]] | tuple[int, int]) -> Case:
    """A case of both masks: given rows, or sizes of rows to be drawn, of unequal lengths."""

    def make(generator: Generator) -> Arguments:
        if isinstance(rows, list):
            return {"tokens": torch.tensor(rows), "padding": 0}
        tokens = torch.randint(4, 60, rows, generator=generator)
        ends = torch.randperm(rows[1] - 1, generator=generator)[: rows[0]] + 2
        kept = torch.arange(rows[1]) < ends[:, None]
        return {"tokens": tokens.where(kept, torch.tensor(3)), "padding": 3}

    return Case(name, fails, make)


def reached(tokens: Tensor, padding: int) -> Tensor:
    """Ask of one token after the other."""
    rows = [[token != padding for token in row] for row in tokens.tolist()]
    return torch.tensor(rows)[:, None, None, :]


def on_queries(tokens: Tensor, padding: int) -> Tensor:
    """SPECIMEN: the same, along the wrong axis."""
    return reached(tokens, padding).transpose(-2, -1)


PADDING_MASK = Exercise(
    id="transformer.padding_mask",
    title="A mask for padding",
    entry_point="padding_mask",
    prompt=(
        "Write `padding_mask(tokens, padding)`. `tokens` is `(N, S)`, whole numbers; those equal "
        "to `padding` fill the shorter rows up. The result is boolean, `(N, 1, 1, S)`, True = may "
        "attend: nobody reads padding. It broadcasts to `(N, H, L, S)`."
    ),
    starter="def padding_mask(tokens, padding):\n    raise NotImplementedError\n",
    hints=(
        "One comparison, and two new axes.",
        "Which axis of `(N, H, L, S)` are the keys, which are read? The two new ones stand before.",
        "`(tokens != padding)[:, None, None, :]`",
    ),
    points=1,
    minutes=3,
    difficulty=1,
    probe=FunctionProbe(
        cases=(
            tokens_case("tiny", "true_means_may_attend", [[5, 7, 0]]),
            tokens_case("tiny_rows", "each_row_has_its_own", [[5, 0, 0], [6, 7, 8]]),
            tokens_case("large", "any_padding", (3, 11)),
        ),
        reference=reached,
        mistakes={
            "mask_inverted": (lambda tokens, padding: ~reached(tokens, padding),),
            "mask_on_queries": (on_queries,),
        },
        adapt=with_dtype,
    ),
)


def past(tokens: Tensor, padding: int) -> Tensor:
    """Ask of every pair: does the key come later, and is it padding?"""
    length = tokens.shape[1]
    rows = [
        [[key <= query and row[key] != padding for key in range(length)] for query in range(length)]
        for row in tokens.tolist()
    ]
    return torch.tensor(rows)[:, None]


def joined(
    triangle: Callable[[Tensor], Tensor],
    padded: Callable[[Tensor, int], Tensor] = reached,
    flip: bool = False,
) -> Callable[..., Tensor]:
    """SPECIMEN: another triangle, or another mask of padding, or the opposite of both."""

    def make(tokens: Tensor, padding: int) -> Tensor:
        everything = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool)
        mask = triangle(everything) & padded(tokens, padding)
        return ~mask if flip else mask

    return make


DECODER_MASK = Exercise(
    id="transformer.decoder_mask",
    title="A mask for the decoder",
    entry_point="decoder_mask",
    prompt=(
        "Write `decoder_mask(tokens, padding)`. `tokens` is `(N, L)`. The result is boolean, "
        "`(N, 1, L, L)`, True = may attend: place i reads the places 0 to i, itself included, and "
        "none that holds `padding`."
    ),
    starter="def decoder_mask(tokens, padding):\n    raise NotImplementedError\n",
    hints=(
        "Two masks that both have to agree.",
        "The one is a triangle `(L, L)`, the same for every row; the other you have just written.",
        "`torch.ones(L, L, dtype=torch.bool).tril() & padding_mask(tokens, padding)`",
    ),
    points=1,
    minutes=5,
    difficulty=1,
    probe=FunctionProbe(
        cases=(
            tokens_case("tiny", "reads_the_past_and_itself", [[5, 7]]),
            tokens_case("tiny_padded", "reads_no_padding", [[5, 7, 0]]),
            tokens_case("tiny_front", "wherever_it_stands", [[0, 5, 7]]),
            tokens_case("large", "any_padding", (3, 11)),
        ),
        reference=past,
        mistakes={
            "causal_mask_shifted": (
                joined(lambda all_: all_.triu()),
                joined(lambda all_: all_.tril(-1)),
                joined(lambda all_: all_.tril(1)),
                joined(lambda all_: all_),
            ),
            "mask_on_queries": (joined(torch.tril, on_queries),),
            "mask_inverted": (
                joined(torch.tril, flip=True),
                joined(torch.tril, lambda tokens, padding: ~reached(tokens, padding)),
            ),
        },
        adapt=with_dtype,
    ),
)
