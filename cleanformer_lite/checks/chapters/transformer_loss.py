"""Exercise: the loss of the next piece."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.facts import shown
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.probes import draw


class NextPiece:
    """A model that looks at the last piece alone: row p of its table are the logits after p."""

    def __init__(self, table: Tensor) -> None:
        self.table = table.requires_grad_()

    def __call__(self, given: Tensor) -> Tensor:
        return F.embedding(given, self.table)  # (N, L) -> (N, L, V)

    def __repr__(self) -> str:
        return f"<logits after each piece: {shown(self.table)}>"


def mean_cost(predict: NextPiece, target: Tensor, padding: int) -> Tensor:
    """Add up one place after the other."""
    costs = []
    for row in target.tolist():
        for given, wanted in itertools.pairwise(row):
            if wanted != padding:
                powers = [torch.exp(number) for number in predict.table[given]]
                costs.append(torch.log(torch.stack(powers).sum()) - predict.table[given][wanted])
    return torch.stack(costs).mean()


def cost(given: slice, wanted: slice, *, ignore: bool = True) -> Callable[..., Tensor]:
    """SPECIMEN: other parts of the target, or padding counted."""

    def loss(predict: NextPiece, target: Tensor, padding: int) -> Tensor:
        logits = predict(target[:, given])
        labels = target[:, wanted]
        skipped = padding if ignore else -100
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=skipped)

    return loss


def shared_by_all(predict: NextPiece, target: Tensor, padding: int) -> Tensor:
    """SPECIMEN: padding costs nothing, and is counted all the same."""
    counted = (target[:, 1:] != padding).float().mean()
    return cost(slice(-1), slice(1, None))(predict, target, padding) * counted


def with_gradient(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss as a number, and what it says to the model's table."""

    def run(predict: NextPiece, target: Tensor, padding: int) -> Any:
        loss = answer(predict, target, padding)
        if not isinstance(loss, Tensor):
            return loss
        (gradient,) = torch.autograd.grad(loss, predict.table)
        return {"loss": loss, "gradient": gradient}

    return run


def loss_case(name: str, fails: str, rows: list[list[int]], pieces: int, padding: int = 0) -> Case:
    """A case of `next_piece_loss`."""

    def make(generator: Generator) -> Arguments:
        table = draw(generator, pieces, pieces, by_hand=name.startswith("tiny"))
        return {"predict": NextPiece(table), "target": torch.tensor(rows), "padding": padding}

    return Case(name, fails, make)


BEFORE, AFTER = slice(-1), slice(1, None)

LOSS = Exercise(
    id="transformer.loss",
    title="The loss of the next piece",
    entry_point="next_piece_loss",
    prompt=(
        "Write `next_piece_loss(predict, target, padding)`. `target` is `(N, L)`: start, pieces, "
        "end, and `padding` behind. `predict(given)` is a decoder: `(N, l)` pieces to `(N, l, V)` "
        "logits, at each place for the piece that comes next. Return the mean cross-entropy over "
        "all places whose next piece is known and is not padding."
    ),
    starter="def next_piece_loss(predict, target, padding):\n    raise NotImplementedError\n",
    hints=(
        "At place 0 the decoder is given the start. Which piece is it asked for?",
        "Given and wanted are both rows of L - 1 pieces, one place apart. Padding costs nothing "
        "and is not counted.",
        "`logits = predict(target[:, :-1])`, then `F.cross_entropy(logits.flatten(0, 1), "
        "target[:, 1:].flatten(), ignore_index=padding)`.",
    ),
    points=2,
    minutes=8,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            loss_case("tiny", "the_next_piece", [[1, 2]], 3),
            loss_case("tiny_padded", "padding_counts_nothing", [[1, 2, 0]], 3),
            loss_case("large", "mean_over_pieces", [[1, 4, 5, 2, 0, 0], [1, 6, 3, 4, 7, 2]], 8),
            loss_case("other", "any_padding", [[0, 4, 2, 3, 3], [0, 1, 4, 1, 2]], 5, padding=3),
        ),
        reference=mean_cost,
        mistakes={
            "target_not_shifted": (
                cost(slice(None), slice(None)),
                cost(BEFORE, BEFORE),
                cost(AFTER, AFTER),
                cost(slice(None), slice(None), ignore=False),
            ),
            "padding_in_loss": (cost(BEFORE, AFTER, ignore=False), shared_by_all),
        },
        adapt=with_gradient,
    ),
)
