"""Exercise: greedy decoding of a batch whose rows end at different places."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe


class Script:
    """A decoder that says what is written for each row; it wants to see all that it said."""

    def __init__(self, rows: list[list[int]], start: int) -> None:
        self.rows = rows
        self.start = start

    def __call__(self, target: Tensor) -> Tensor:
        pieces = 1 + max(max(row) for row in self.rows)
        logits = torch.zeros(*target.shape, pieces)
        for n, row in enumerate(self.rows):
            right_start = int(target[n, 0]) == self.start
            for place in range(target.shape[1]):
                said = row[min(place, len(row) - 1)]
                logits[n, place, said if right_start else 0] = 2.0
        return logits  # (N, l, V)

    def __repr__(self) -> str:
        return f"<a decoder that says {self.rows}>"


def written(predict: Script, rows: int, start: int, end: int, padding: int, longest: int) -> Tensor:
    """Write row by row, in lists."""
    lists = []
    for n in range(rows):
        said: list[int] = []
        while len(said) < longest and end not in said:
            target = torch.full((rows, 1 + len(said)), padding)
            target[n] = torch.tensor([start, *said])
            said.append(int(predict(target)[n, -1].argmax()))
        lists.append(said)
    length = max(map(len, lists))
    return torch.tensor([said + [padding] * (length - len(said)) for said in lists])


def decoder(
    *, stop: Callable[[Tensor, Tensor], Tensor], fill: bool = True
) -> Callable[..., Tensor]:
    """SPECIMEN: stops at another time, or writes on behind the end.

    `stop` is given which rows have ended, and which say their end in this step.
    """

    def greedy(
        predict: Script, rows: int, start: int, end: int, padding: int, longest: int
    ) -> Tensor:
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


def script_case(name: str, fails: str, lengths: list[int], longest: int) -> Case:
    """A case of `greedy`: each row says some pieces, its end (2), and then others."""

    def make(generator: Generator) -> Arguments:
        rows = []
        for length in lengths:
            row = torch.randint(3, 9, (length + 3,), generator=generator)
            row[length] = 2
            rows.append(row.tolist())
        predict = Script(rows, start=1)
        return {
            "predict": predict, "rows": len(rows), "start": 1, "end": 2, "padding": 0,
            "longest": longest,
        }  # fmt: skip

    return Case(name, fails, make)


GREEDY = Exercise(
    id="transformer.greedy",
    title="Write until the end",
    entry_point="greedy",
    prompt=(
        "Write `greedy(predict, rows, start, end, padding, longest)`. `predict(target)` takes "
        "what was written so far, `(N, l)` with `start` first, and returns logits `(N, l, V)`; "
        "those at the last place are for the next piece. Always take the likeliest. `rows` is N. "
        "Return `(N, L)` without `start`: behind its `end` a row holds `padding`. Stop when every "
        "row has said its end, or after `longest` pieces."
    ),
    starter=(
        "def greedy(predict, rows, start, end, padding, longest):\n    raise NotImplementedError\n"
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
        reference=written,
        mistakes={
            "stops_at_first_end": (
                decoder(stop=lambda ended, now: ended.any()),
                decoder(stop=lambda ended, now: ended[0]),
            ),
            "goes_on_after_end": (
                decoder(stop=lambda ended, now: ended.all(), fill=False),
                decoder(stop=lambda ended, now: now.all(), fill=False),
                decoder(stop=lambda ended, now: torch.tensor(False), fill=False),
                decoder(stop=lambda ended, now: torch.tensor(False)),
            ),
        },
    ),
)
