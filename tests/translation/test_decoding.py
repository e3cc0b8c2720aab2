import datetime
import random as randomness

import pytest
import torch
from torch import Tensor

from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.decoding import exact_match, greedy, translate
from cleanformer_lite.translation.korean_dates import every_day, in_english, in_korean
from cleanformer_lite.translation.training import new_model
from cleanformer_lite.translation.vocabulary import (
    END,
    NUMBERS,
    PAD,
    PIECES,
    START,
    as_text,
    english_pieces,
    korean_pieces,
    numbered,
)

DAY = datetime.date(2026, 11, 23)


class Reciting(Transformer):
    """Says, whatever it reads, one fixed row for each row of the batch."""

    def __init__(self, rows: list[list[int]]) -> None:
        super().__init__(len(PIECES), embed_dim=2, num_heads=1, layers=1, hidden=1)
        self.rows = rows
        self.calls = 0

    def decode(self, target: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        self.calls += 1
        assert not torch.is_grad_enabled()  # nothing is kept for a backward pass
        logits = torch.zeros(*target.shape, len(PIECES))
        for n, row in enumerate(self.rows):
            place = target.shape[1] - 1
            logits[n, -1, row[place] if place < len(row) else 7] = 1.0
        return logits


def test_pieces_are_the_text_again() -> None:
    for day in randomness.Random(0).sample(every_day(), 200):
        text = in_english(day)
        assert "".join(english_pieces(text)) == text
        assert "".join(korean_pieces(in_korean(day))) == in_korean(day).replace(" ", "")
        assert as_text(numbered([english_pieces(text)], ends=True)[0, 1:]) == text


def test_numbers_are_padded_behind() -> None:
    rows = numbered([["일"], ["이", "일", "월"]], ends=True)
    one, two, month = (NUMBERS[piece] for piece in "일이월")
    assert rows.tolist() == [[START, one, END, PAD, PAD], [START, two, one, month, END]]
    assert numbered([["일"], ["이", "일"]], ends=False).tolist() == [[one, PAD], [two, one]]


def test_text_without_an_end_is_read_to_its_last_piece() -> None:
    three, monday = NUMBERS["3"], NUMBERS["Monday, "]
    assert as_text(torch.tensor([monday, three, PAD])) == "Monday, 3"
    assert as_text(torch.tensor([monday, END, three])) == "Monday, "
    assert as_text(torch.tensor([PAD, END])) == ""


def test_unknown_text_is_refused_with_the_place() -> None:
    with pytest.raises(ValueError, match="position 3: 'x'"):
        korean_pieces("이 x")
    with pytest.raises(ValueError, match=r"wanted a date like .*got 'Monday 3'"):
        english_pieces("Monday 3")


def test_decoding_stops_when_all_have_ended_and_keeps_quiet_after_the_end() -> None:
    model = Reciting([[5, END, 6, 6], [8, 9, 10, END]])
    said = greedy(model, torch.ones(2, 3, dtype=torch.long), longest=9)
    assert said.tolist() == [[5, END, PAD, PAD], [8, 9, 10, END]]
    assert model.calls == 4


def test_decoding_ends_at_the_longest() -> None:
    said = greedy(Reciting([[5] * 20]), torch.ones(1, 3, dtype=torch.long), longest=6)
    assert said.tolist() == [[5] * 6]


def test_in_a_batch_as_alone() -> None:
    torch.manual_seed(0)
    model = new_model(embed_dim=12, num_heads=3, layers=1, hidden=7).double()
    texts = [in_korean(datetime.date(y, 2, 7)) for y in (1900, 1987, 2000, 2026, 2099)]
    alone = [translate(model, [text])[0] for text in texts]
    assert translate(model, texts) == alone
    assert translate(model, texts, batch=2) == alone


def test_exact_match_counts_whole_texts() -> None:
    row = numbered([english_pieces(in_english(DAY))], ends=True)[0, 1:].tolist()
    model = Reciting([row, row])
    sources = [in_korean(DAY)] * 2
    assert exact_match(model, sources, [in_english(DAY), in_english(DAY)[:-1]]) == 0.5


@pytest.mark.parametrize(("shape", "longest"), [((0, 3), 5), ((2, 0), 5), ((2,), 5), ((2, 3), 0)])
def test_bad_calls(shape: tuple[int, ...], longest: int) -> None:
    with pytest.raises(ValueError, match=r"wanted source of shape \(N, S\)"):
        greedy(new_model(layers=1), torch.ones(shape, dtype=torch.long), longest=longest)
