"""From text to numbers and back: one list of pieces for both languages."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from cleanformer_lite.translation.korean_dates import ENGLISH_MONTHS, ENGLISH_WEEKDAYS, ROMANISED

PAD, START, END = 0, 1, 2
# Laid end to end, English pieces are the English text.
ENGLISH = [f"{day}, " for day in ENGLISH_WEEKDAYS] + [f"{month} " for month in ENGLISH_MONTHS]
PIECES = ["<pad>", "<start>", "<end>", *ROMANISED, *ENGLISH, *"0123456789", ", "]
NUMBERS = {piece: number for number, piece in enumerate(PIECES)}
ENGLISH_PIECE = re.compile("|".join(map(re.escape, [*ENGLISH, *"0123456789", ", "])))


def korean_pieces(text: str) -> list[str]:
    """Cut Korean text into syllables, without the spaces.

    Raises: ValueError, with its position, for a syllable that occurs in no date.
    """
    for position, letter in enumerate(text, start=1):
        if not letter.isspace() and letter not in ROMANISED:
            raise ValueError(f"position {position}: {letter!r} occurs in no date in Korean words")
    return [letter for letter in text if not letter.isspace()]


def english_pieces(text: str) -> list[str]:
    """Cut an English date into the names, the digits and the comma before the year.

    Raises: ValueError for text of another form.
    """
    pieces = ENGLISH_PIECE.findall(text)
    if "".join(pieces) != text:
        raise ValueError(f"wanted a date like 'Monday, November 23, 2026', got {text!r}")
    return pieces


def numbered(sentences: Sequence[Sequence[str]], *, ends: bool) -> Tensor:
    """Number the pieces of every sentence, and fill the shorter ones up.

    Shapes: N sentences of up to L pieces -> `(N, L)`, with `ends` `(N, L + 2)`: <start> before,
        <end> after.
    """
    lists = [[NUMBERS[piece] for piece in row] for row in sentences]
    lists = [[START, *row, END] for row in lists] if ends else lists
    longest = max(map(len, lists))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in lists])


def as_text(numbers: Tensor) -> str:
    """Lay the pieces of one row end to end, up to <end>.

    Shapes: numbers `(L,)`, without <start>.
    """
    row = numbers.tolist()
    row = row[: row.index(END)] if END in row else row
    return "".join(PIECES[number] for number in row if number != PAD)
