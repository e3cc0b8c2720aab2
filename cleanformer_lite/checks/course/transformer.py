"""Exercises of the chapter on the whole Transformer: masks, positions, loss, decoding."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.compare import shown
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.trials import draw
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import known_in


def with_dtype(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return the mask and its dtype: ones and zeros are no mask."""

    def run(tokens: Tensor, padding: int) -> Any:
        mask = answer(tokens, padding)
        return {"mask": mask, "dtype": str(mask.dtype)} if isinstance(mask, Tensor) else mask

    return run


def tokens_case(name: str, fails: str, sentences: list[list[int]] | tuple[int, int]) -> Case:
    """A case of both masks: given rows, or sizes of rows to be drawn, of unequal lengths."""

    def make(generator: Generator) -> Arguments:
        if isinstance(sentences, list):
            return {"tokens": torch.tensor(sentences), "padding": 0}
        tokens = torch.randint(4, 60, sentences, generator=generator)
        ends = torch.randperm(sentences[1] - 1, generator=generator)[: sentences[0]] + 2
        kept = torch.arange(sentences[1]) < ends[:, None]
        return {"tokens": tokens.where(kept, torch.tensor(3)), "padding": 3}

    return Case(name, fails, make)


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
        reference=references.padding_mask,
        mistakes=known_in("transformer.padding_mask"),
        adapt=with_dtype,
    ),
)


DECODER_MASK = Exercise(
    id="transformer.decoder_mask",
    title="A mask for the decoder",
    entry_point="decoder_mask",
    prompt=(
        "Write `decoder_mask(tokens, padding)`. `tokens` is `(N, L)`. The result is boolean, "
        "`(N, 1, L, L)`, True = may attend: position i reads the positions 0 to i, itself "
        "included, and none that holds `padding`."
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
        reference=references.decoder_mask,
        mistakes=known_in("transformer.decoder_mask"),
        adapt=with_dtype,
    ),
)


def positions_case(
    name: str, fails: str, length: int, embed_dim: int, first: int | None = None
) -> Case:
    """A case of `mark_positions`: some positions, not in order, or `first` alone."""

    def make(generator: Generator) -> Arguments:
        positions = torch.randperm(30, generator=generator)[:length] + 1
        if first is not None:
            positions = torch.tensor([first])
        return {"positions": positions, "embed_dim": embed_dim}

    return Case(name, fails, make)


POSITIONS = Exercise(
    id="transformer.positions",
    title="Mark the positions",
    entry_point="mark_positions",
    prompt=(
        "Write `mark_positions(positions, embed_dim)`. `positions` is `(L,)`, whole numbers; "
        "`embed_dim` is even; the result is `(L, E)`. Numbers 2i and 2i + 1 of a row are the sine "
        "and the cosine of `position / 10000 ** (2i / E)`, for i = 0, 1, 2, ... up to E / 2 - 1."
    ),
    starter="def mark_positions(positions, embed_dim):\n    raise NotImplementedError\n",
    hints=(
        "E / 2 angles a position; each is used twice.",
        "`torch.arange(0, embed_dim, 2)` counts 2i, not i. Do not double it once more.",
        "`angle = positions[:, None] / 10000 ** (torch.arange(0, embed_dim, 2) / embed_dim)`, then "
        "`torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)`.",
    ),
    points=2,
    minutes=8,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            positions_case("tiny_first", "position_zero", 1, 4, first=0),
            positions_case("tiny", "sines_and_cosines_take_turns", 1, 4),
            positions_case("large", "any_sizes", 5, 14),
        ),
        reference=references.mark_positions,
        mistakes=known_in("transformer.positions"),
    ),
)


class NextPiece:
    """A model that looks at the last piece alone: row p of its table are the logits after p."""

    def __init__(self, table: Tensor) -> None:
        self.table = table.requires_grad_()

    def __call__(self, given: Tensor) -> Tensor:
        return F.embedding(given, self.table)  # (N, L) -> (N, L, V)

    def __repr__(self) -> str:
        return f"<logits after each piece: {shown(self.table)}>"


def with_gradient(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss as a number, and what it says to the model's table."""

    def run(predict: NextPiece, target: Tensor, padding: int) -> Any:
        loss = answer(predict, target, padding)
        if not isinstance(loss, Tensor):
            return loss
        (gradient,) = torch.autograd.grad(loss, predict.table)
        return {"loss": loss, "gradient": gradient}

    return run


def loss_case(
    name: str, fails: str, sentences: list[list[int]], pieces: int, padding: int = 0
) -> Case:
    """A case of `next_piece_loss`."""
    small = pieces <= 3

    def make(generator: Generator) -> Arguments:
        table = draw(generator, pieces, pieces, by_hand=small)
        return {"predict": NextPiece(table), "target": torch.tensor(sentences), "padding": padding}

    return Case(name, fails, make)


LOSS = Exercise(
    id="transformer.loss",
    title="The loss of the next piece",
    entry_point="next_piece_loss",
    prompt=(
        "Write `next_piece_loss(predict, target, padding)`. `target` is `(N, L)`: start, pieces, "
        "end, and `padding` behind. `predict(given)` is a decoder: `(N, l)` pieces to `(N, l, V)` "
        "logits, at each position for the piece that comes next. Return the mean cross-entropy "
        "over all positions whose next piece is known and is not padding."
    ),
    starter="def next_piece_loss(predict, target, padding):\n    raise NotImplementedError\n",
    hints=(
        "At position 0 the decoder is given the start. Which piece is it asked for?",
        "Given and wanted are both rows of L - 1 pieces, one position apart. Padding costs nothing "
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
        reference=references.next_piece_loss,
        mistakes=known_in("transformer.loss"),
        adapt=with_gradient,
    ),
)


class Script:
    """A decoder that says what is written for each row; it wants to see all that it said."""

    def __init__(self, sentences: list[list[int]], start: int) -> None:
        self.sentences = sentences
        self.start = start

    def __call__(self, target: Tensor) -> Tensor:
        pieces = 1 + max(max(row) for row in self.sentences)
        logits = torch.zeros(*target.shape, pieces)
        for n, row in enumerate(self.sentences):
            right_start = int(target[n, 0]) == self.start
            for position in range(target.shape[1]):
                piece = row[min(position, len(row) - 1)]
                logits[n, position, piece if right_start else 0] = 2.0
        return logits  # (N, l, V)

    def __repr__(self) -> str:
        return f"<a decoder that says {self.sentences}>"


def script_case(name: str, fails: str, lengths: list[int], longest: int) -> Case:
    """A case of `greedy`: each row says some pieces, its end (2), and then others."""

    def make(generator: Generator) -> Arguments:
        sentences = []
        for length in lengths:
            row = torch.randint(3, 9, (length + 3,), generator=generator)
            row[length] = 2
            sentences.append(row.tolist())
        predict = Script(sentences, start=1)
        return {
            "predict": predict, "batch_size": len(sentences), "start": 1, "end": 2, "padding": 0,
            "longest": longest,
        }  # fmt: skip

    return Case(name, fails, make)


GREEDY = Exercise(
    id="transformer.greedy",
    title="Write until the end",
    entry_point="greedy",
    prompt=(
        "Write `greedy(predict, batch_size, start, end, padding, longest)`. `predict(target)` "
        "takes what was written so far, `(N, l)` with `start` first, and returns logits "
        "`(N, l, V)`; those at the last position are for the next piece. Always take the "
        "likeliest. `batch_size` is N. Return `(N, L)` without `start`: behind its `end` a row "
        "holds `padding`. Stop when every row has said its end, or after `longest` pieces."
    ),
    starter=(
        "def greedy(predict, batch_size, start, end, padding, longest):\n"
        "    raise NotImplementedError\n"
    ),
    hints=(
        "Begin with a column of `start`, and add one column in each step.",
        "Keep a boolean for each row: has it ended? What does an ended row get? When may you stop?",
        "`piece = predict(target)[:, -1].argmax(-1).masked_fill(ended, padding)`, append it, "
        "`ended = ended | (piece == end)`, `if ended.all(): break`; return `target[:, 1:]`.",
    ),
    points=3,
    minutes=15,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            script_case("tiny", "stops_at_the_end", [1], 5),
            script_case("tiny_limit", "stops_at_the_limit", [3], 2),
            script_case("tiny_rows", "waits_for_every_row", [1, 3], 6),
            script_case("large", "pads_behind_the_end", [4, 0, 7, 2], 9),
        ),
        reference=references.greedy,
        mistakes=known_in("transformer.greedy"),
    ),
)

EXERCISES = (PADDING_MASK, DECODER_MASK, POSITIONS, LOSS, GREEDY)
