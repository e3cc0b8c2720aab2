"""All days in both languages, shared out once and for all, as text and as numbers."""

import datetime
import random

from torch import Tensor

from cleanformer_lite.translation.korean_dates import every_day, in_english, in_korean
from cleanformer_lite.translation.vocabulary import english_pieces, korean_pieces, numbered

HELD_OUT, CHECKED = 7305, 500  # a tenth of all days is never seen; 500 others decide when to stop
Pairs = tuple[list[str], list[str]]


def shuffled_days() -> list[datetime.date]:
    """List all days in the order in which they are shared out, which is always the same."""
    days = every_day()
    random.Random(0).shuffle(days)
    return days


def held_out_days() -> list[datetime.date]:
    """List the days that no training ever sees."""
    return shuffled_days()[:HELD_OUT]


def three_parts() -> tuple[Pairs, Pairs, Pairs]:
    """Share all days out, always alike: to train on, to check while training, held out."""
    days = shuffled_days()
    cuts = (days[HELD_OUT + CHECKED :], days[HELD_OUT : HELD_OUT + CHECKED], days[:HELD_OUT])
    first, second, third = (
        ([in_korean(day) for day in part], [in_english(day) for day in part]) for part in cuts
    )
    return first, second, third


def as_tensors(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Number all pairs.

    Shapes: -> source `(N, S)` and target `(N, L + 2)`, with <start> and <end>.
    """
    return (
        numbered([korean_pieces(text) for text in pairs[0]], ends=False),
        numbered([english_pieces(text) for text in pairs[1]], ends=True),
    )
