"""Mistakes in writing a translation piece by piece. Wrong on purpose."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.mistake import mistake


def _when_all_ended(ended: Tensor, now: Tensor) -> Tensor:
    return ended.all()


def _decoder(
    *, stop: Callable[[Tensor, Tensor], Tensor] = _when_all_ended, fill: bool = True,
    read: Callable[[Any, Tensor], Tensor] = lambda predict, target: predict(target)[:, -1],
    more: int = 0, written: slice = slice(1, None),
) -> Callable[..., Tensor]:  # fmt: skip
    """Decode with one thing wrong.

    `stop` is given which rows have ended, and which say their end in this step; `read` takes the
    logits of a step; `more` steps than the limit are made; `written` is what is returned.
    """

    def greedy(
        predict: Any, batch_size: int, start: int, end: int, padding: int, longest: int
    ) -> Tensor:
        target = torch.full((batch_size, 1), start)
        ended = torch.zeros(batch_size, dtype=torch.bool)
        for _ in range(longest + more):
            piece = read(predict, target).argmax(-1)
            now = piece == end
            if fill:
                piece = piece.masked_fill(ended, padding)
            target = torch.cat([target, piece[:, None]], dim=1)
            ended = ended | now
            if stop(ended, now):
                break
        return target[:, written]

    return greedy


@mistake(
    cause="decoding stops as soon as one row has said its end",
    symptom="right with one sentence; in a batch longer ones are cut off",
    hints=(
        "Decode a short and a long sentence together.",
        "When does your loop stop: when any row has ended, or when all have?",
        "Keep `ended` for each row, and stop on `ended.all()`.",
    ),
)
class StopsAtFirstEnd:
    """Stops for all when one has ended."""

    forms = {
        "transformer.greedy": (
            _decoder(stop=lambda ended, now: ended.any()),
            _decoder(stop=lambda ended, now: ended[0]),
        ),
    }


@mistake(
    cause="a row that has said its end goes on being written",
    symptom="words after the end, or decoding runs to its limit every time",
    thread="Dao-AILab/flash-attention#2784",
    hints=(
        "Look at the shorter row after its end.",
        "What is appended to a row that has ended?",
        "`piece.masked_fill(ended, padding)` before you append it.",
    ),
)
class GoesOnAfterEnd:
    """Writes on behind the end."""

    forms = {
        "transformer.greedy": (
            _decoder(stop=lambda ended, now: ended.all(), fill=False),
            _decoder(stop=lambda ended, now: now.all(), fill=False),
            _decoder(stop=lambda ended, now: torch.tensor(False), fill=False),
        ),
    }


@mistake(
    cause="decoding runs to its limit though every row has ended: columns of padding are left over",
    symptom="right pieces, too many columns, and time spent on nothing",
    thread="DongjunLee/transformer-tensorflow#5",
    hints=(
        "Decode one short sentence, and count the columns.",
        "When does your loop stop?",
        "`if ended.all(): break`.",
    ),
)
class RunsToTheLimit:
    """Never stops early."""

    forms = {"transformer.greedy": (_decoder(stop=lambda ended, now: torch.tensor(False)),)}


@mistake(
    cause="the next piece is read from another position's logits, or from those of an earlier step",
    symptom="the first piece is right, and then it comes again and again",
    thread="xberg-io/xberg#1210",
    hints=(
        "Print the pieces of the first three steps.",
        "`predict` returns logits for every position. Which of them are for the next piece?",
        "In each step anew: `predict(target)[:, -1].argmax(-1)`.",
    ),
)
class StaleLogits:
    """Reads the first logits in every step."""

    forms = {
        "transformer.greedy": (
            _decoder(read=lambda predict, target: predict(target)[:, 0]),
            _decoder(read=lambda predict, target: predict(target[:, :1])[:, -1]),
        ),
    }


@mistake(
    cause="the loop makes a step less or a step more than `longest`",
    symptom="the last piece is missing, or there is one too many, where no row ends in time",
    thread="huggingface/transformers#9855",
    hints=(
        "Decode with `longest=1` a sentence that has not ended by then.",
        "How many pieces does your loop write? Is `start` counted among them?",
        "`for _ in range(longest)`.",
    ),
)
class LimitOffByOne:
    """Counts `start` as a piece, or counts from the other side."""

    forms = {"transformer.greedy": (_decoder(more=-1), _decoder(more=1))}


@mistake(
    cause="there is no limit: the loop runs until every row has ended",
    symptom="with a model that never says the end it runs for ever",
    thread="CyberZHG/keras-transformer#3",
    hints=(
        "Decode with `longest=2` a sentence that has not ended by then.",
        "Where do you use `longest`?",
        "`for _ in range(longest)`, and `break` when every row has ended.",
    ),
)
class NoLimit:
    """Stops at the end alone."""

    forms = {"transformer.greedy": (_decoder(more=1000),)}


@mistake(
    cause="`start` is left in what is returned",
    symptom="every row is one piece too long, and begins with the start",
    hints=(
        "Look at the first column of your result.",
        "What did you begin with? Was it written by the model?",
        "`return target[:, 1:]`.",
    ),
)
class StartKept:
    """Returns what `predict` was given."""

    forms = {"transformer.greedy": (_decoder(written=slice(None)),)}
