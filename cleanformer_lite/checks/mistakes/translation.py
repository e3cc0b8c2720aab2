"""Mistakes in the whole Transformer: loss, decoding, positions. Wrong on purpose."""

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


def _loss_of(
    change: Callable[[Tensor], Tensor], cost: Callable[..., Tensor] = F.cross_entropy
) -> Callable[..., Tensor]:
    """Compute the loss of logits that were changed."""

    def loss(predict: Any, target: Tensor, padding: int) -> Tensor:
        logits, labels = predict(target[:, BEFORE]).flatten(0, 1), target[:, AFTER].flatten()
        return cost(change(logits), labels, ignore_index=padding)

    return loss


def _mean_per_sentence(predict: Any, target: Tensor, padding: int) -> Tensor:
    samples = range(len(target))
    return torch.stack(
        [_cost(BEFORE, AFTER)(predict, target[[row]], padding) for row in samples]
    ).mean()


def _shared_by_all(predict: Any, target: Tensor, padding: int) -> Tensor:
    """Padding costs nothing, and is counted all the same."""
    counted = (target[:, 1:] != padding).float().mean()
    return _cost(slice(-1), slice(1, None))(predict, target, padding) * counted


def _waves(
    sine: Callable[[Tensor], Tensor],
    cosine: Callable[[Tensor], Tensor],
    halves: bool = False,
    base: float = 10_000.0,
) -> Callable[[Tensor, int], Tensor]:
    """Mark positions by other exponents, made from the even numbers below E, or another order."""

    def mark(positions: Tensor, embed_dim: int) -> Tensor:
        even = torch.arange(0, embed_dim, 2)
        sines, cosines = (
            wave(positions[:, None] / base ** (exponent(even) / embed_dim))
            for wave, exponent in ((torch.sin, sine), (torch.cos, cosine))
        )
        if halves:
            return torch.cat([sines, cosines], dim=-1)
        return torch.stack([sines, cosines], dim=-1).flatten(1)

    return mark


def _cosine_first(positions: Tensor, embed_dim: int) -> Tensor:
    right: Tensor = _waves(lambda even: even, lambda even: even)(positions, embed_dim)
    return torch.stack([right[:, 1::2], right[:, 0::2]], dim=-1).flatten(1)


@mistake(
    cause="each position is asked for the piece that it was given, or for the next but one",
    symptom="the loss falls to nothing: the model learns to copy; it writes nothing sensible",
    thread="Project-MONAI/GenerativeModels#314",
    hints=(
        "Write down what the model is given at position 0, and what it is asked for.",
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
            _cost(slice(-2), slice(2, None)),
            _cost(EVERYTHING, EVERYTHING, ignore=False),
        ),
    }


@mistake(
    cause="positions whose wanted piece is padding count in the mean",
    symptom="the loss looks better than it is: padding is easy to guess",
    thread="lukas-blecher/LaTeX-OCR#305",
    hints=(
        "Add one more padding to a row. Does your loss change?",
        "Over how many positions is your mean?",
        "`F.cross_entropy(..., ignore_index=padding)`.",
    ),
)
class PaddingInLoss:
    """Counts padding."""

    forms = {
        "transformer.loss": (_cost(BEFORE, AFTER, ignore=False), _shared_by_all),
    }


@mistake(
    cause="the exponent is `2 * i / E` while i counts 0, 2, 4, ... already",
    symptom="it trains; the slow waves are far slower than the paper's",
    thread="SamLynnEvans/Transformer#25",
    hints=(
        "Compute the marks of E = 4 by hand.",
        "In the paper i counts pairs: 0, 1, 2, ... What does yours count?",
        "`positions / 10000 ** (i / embed_dim)` for i = 0, 2, 4, ...",
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
        "Look at position 0: where are the zeros and where the ones?",
        "Along which step do sines and cosines take turns?",
        "`marks[:, 0::2] = sin(angle)` and `marks[:, 1::2] = cos(angle)`.",
    ),
)
class PositionsInHalves:
    """Lays all sines before all cosines."""

    forms = {
        "transformer.positions": (_waves(lambda even: even, lambda even: even, halves=True),),
    }


@mistake(
    cause="the logits go through a softmax, and `cross_entropy` takes another one",
    symptom="it learns slowly, and the loss never gets near zero",
    thread="bkitano/llama-from-scratch#5",
    hints=(
        "Compute the loss of logits that are certain and right. Is yours near zero?",
        "What does `F.cross_entropy` do first? What do you do before it?",
        "Hand the logits over as they are: `F.cross_entropy(logits, labels)`.",
    ),
)
class SoftmaxTwice:
    """Takes a softmax before `cross_entropy`, or `nll_loss` of numbers that are no logarithms."""

    forms = {
        "transformer.loss": (
            _loss_of(lambda logits: logits.softmax(dim=-1)),
            _loss_of(lambda logits: logits.softmax(dim=-1), F.nll_loss),
        ),
    }


@mistake(
    cause="a mean is taken for each sentence, and then the mean of those",
    symptom="pieces of short sentences count for more; right where all lengths are the same",
    thread="huggingface/transformers#24725",
    hints=(
        "Compute the loss of a short and a long sentence together, and of each alone.",
        "How much does one piece of a short sentence weigh in your mean?",
        "Sum over all pieces that are not padding, and divide by their number, once.",
    ),
)
class MeanPerSentence:
    """Takes the mean of means."""

    forms = {"transformer.loss": (_mean_per_sentence,)}


@mistake(
    cause="the cosine has an exponent of its own, `(2i + 1) / E`, in place of its sine's",
    symptom="it trains; weights trained with the paper's positions do not fit",
    thread="luhengshiwo/LLMForEverybody#106",
    hints=(
        "Compute the numbers of E = 4 by hand.",
        "A sine and its cosine are a pair. Which of their angles differ in yours?",
        "One angle for each pair: `torch.arange(0, embed_dim, 2)` for sines and cosines alike.",
    ),
)
class PositionsCosineShifted:
    """Counts the cosines on from the sines."""

    forms = {
        "transformer.positions": (
            _waves(lambda even: even, lambda even: even + 1),
            _waves(lambda even: even, lambda even: even + 2),
        ),
    }


@mistake(
    cause="the base is another number than 10000",
    symptom="it trains; weights trained with the paper's positions do not fit",
    thread="maxjcohen/transformer#62",
    hints=(
        "Compute the numbers of E = 4 by hand.",
        "Count the zeros of your base.",
        "`10000 ** (torch.arange(0, embed_dim, 2) / embed_dim)`.",
    ),
)
class PositionsBase:
    """Takes 1000, or another power of ten."""

    forms = {
        "transformer.positions": tuple(
            _waves(lambda even: even, lambda even: even, base=base)
            for base in (10.0, 1000.0, 100_000.0, 500_000.0, 1_000_000.0)
        ),
    }


@mistake(
    cause="the exponent is `i / E` while i counts 0, 1, 2, ...: half of what it should be",
    symptom="it trains; the slow waves are too fast, as with a base of 100",
    hints=(
        "Compute the numbers of E = 4 by hand.",
        "In the paper the exponent is 2i / E. Which numbers does your i run through?",
        "`positions / 10000 ** (torch.arange(0, embed_dim, 2) / embed_dim)`.",
    ),
)
class PositionsExponentHalved:
    """Counts pairs, and forgets the two."""

    forms = {
        "transformer.positions": (
            _waves(lambda even: even / 2, lambda even: even / 2),
            _waves(lambda even: even, lambda even: even, base=100.0),
        ),
    }


@mistake(
    cause="the cosine stands before its sine",
    symptom="it trains as well; weights trained with the paper's order do not fit",
    hints=(
        "Compute the numbers of position 0 by hand.",
        "Which of the two is 0 at position 0? Where does it stand in yours?",
        "`torch.stack([angle.sin(), angle.cos()], dim=-1)`: the sine first.",
    ),
)
class PositionsCosineFirst:
    """Exchanges sine and cosine."""

    forms = {"transformer.positions": (_cosine_first,)}
