"""Mistakes of the chapter on the whole Transformer: loss, decoding, positions. Wrong on purpose."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cleanformer_lite.checks.mistake import mistake

EVERYTHING, BEFORE, AFTER = slice(None), slice(-1), slice(1, None)


def _cost(given: slice, wanted: slice, *, ignore: bool = True) -> Callable[..., Tensor]:
    """Compute the loss of other parts of the target, or with padding counted."""

    def loss(predict: Any, target: Tensor, padding: int) -> Tensor:
        logits = predict(target[:, given])
        labels = target[:, wanted]
        skipped = padding if ignore else -100
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=skipped)

    return loss


def _shared_by_all(predict: Any, target: Tensor, padding: int) -> Tensor:
    """Padding costs nothing, and is counted all the same."""
    counted = (target[:, 1:] != padding).float().mean()
    return _cost(slice(-1), slice(1, None))(predict, target, padding) * counted


def _decoder(
    *, stop: Callable[[Tensor, Tensor], Tensor], fill: bool = True
) -> Callable[..., Tensor]:
    """Stop at another time, or write on behind the end.

    `stop` is given which rows have ended, and which say their end in this step.
    """

    def greedy(predict: Any, rows: int, start: int, end: int, padding: int, longest: int) -> Tensor:
        target = torch.full((rows, 1), start)
        ended = torch.zeros(rows, dtype=torch.bool)
        for _ in range(longest):
            piece = predict(target)[:, -1].argmax(-1)
            now = piece == end
            if fill:
                piece = piece.masked_fill(ended, padding)
            target = torch.cat([target, piece[:, None]], dim=1)
            ended = ended | now
            if stop(ended, now):
                break
        return target[:, 1:]

    return greedy


def _waves(
    sine: Callable[[Tensor], Tensor], cosine: Callable[[Tensor], Tensor], halves: bool = False
) -> Callable[[Tensor, int], Tensor]:
    """Mark positions by other exponents, made from the even numbers below E, or another order."""

    def mark(positions: Tensor, embed_dim: int) -> Tensor:
        even = torch.arange(0, embed_dim, 2)
        sines, cosines = (
            wave(positions[:, None] / 10_000.0 ** (exponent(even) / embed_dim))
            for wave, exponent in ((torch.sin, sine), (torch.cos, cosine))
        )
        if halves:
            return torch.cat([sines, cosines], dim=-1)
        return torch.stack([sines, cosines], dim=-1).flatten(1)

    return mark


@mistake(
    cause="each place is asked for the piece that it was given",
    symptom="the loss falls to nothing: the model learns to copy; it writes nothing sensible",
    thread="Project-MONAI/GenerativeModels#314",
    hints=(
        "Write down what the model is given at place 0, and what it is asked for.",
        "Given and wanted are the same row. By how much do they have to differ?",
        "Give `target[:, :-1]`, want `target[:, 1:]`.",
    ),
)
class TargetNotShifted:
    """Asks for what was given."""

    forms = {
        "transformer.loss": (
            _cost(EVERYTHING, EVERYTHING),
            _cost(BEFORE, BEFORE),
            _cost(AFTER, AFTER),
            _cost(EVERYTHING, EVERYTHING, ignore=False),
        ),
    }


@mistake(
    cause="places whose wanted piece is padding count in the mean",
    symptom="the loss looks better than it is: padding is easy to guess",
    thread="lukas-blecher/LaTeX-OCR#305",
    hints=(
        "Add one more padding to a row. Does your loss change?",
        "Over how many places is your mean?",
        "`F.cross_entropy(..., ignore_index=padding)`.",
    ),
)
class PaddingInLoss:
    """Counts padding."""

    forms = {
        "transformer.loss": (_cost(BEFORE, AFTER, ignore=False), _shared_by_all),
    }


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
            _decoder(stop=lambda ended, now: torch.tensor(False)),
        ),
    }


@mistake(
    cause="the exponent is `2 * i / E` while i counts 0, 2, 4, ... already",
    symptom="it trains; the slow waves are far slower than the paper's",
    thread="SamLynnEvans/Transformer#25",
    hints=(
        "Compute the marks of E = 4 by hand.",
        "In the paper i counts pairs: 0, 1, 2, ... What does yours count?",
        "`places / 10000 ** (i / embed_dim)` for i = 0, 2, 4, ...",
    ),
)
class PositionsExponentDoubled:
    """Doubles what counts 0, 2, 4 already."""

    forms = {
        "transformer.positions": (
            _waves(lambda even: 2 * even, lambda even: 2 * even),
            _waves(lambda even: 2 * even, lambda even: 2 * (even + 1)),
        ),
    }


@mistake(
    cause="all sines come first and all cosines after them",
    symptom="it trains as well; weights trained with the paper's order do not fit",
    hints=(
        "Look at place 0: where are the zeros and where the ones?",
        "Along which step do sines and cosines take turns?",
        "`marks[:, 0::2] = sin(angle)` and `marks[:, 1::2] = cos(angle)`.",
    ),
)
class PositionsInHalves:
    """Lays all sines before all cosines."""

    forms = {
        "transformer.positions": (_waves(lambda even: even, lambda even: even, halves=True),),
    }
