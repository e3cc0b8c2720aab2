from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from cleanformer_lite import SplitMultiHeadAttention
from cleanformer_lite.copy_back import copy_back_accuracy, train_copy_back
from cleanformer_lite.retrieval import FEATURES, retrieval_accuracy, train_retrieval
from cleanformer_lite.threads import in_threads, one_thread
from cleanformer_lite.translation.training import Trainer, new_model


@pytest.fixture(autouse=True)
def three_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_one_thread_and_the_old_number_back() -> None:
    with one_thread() as before:
        assert (before, torch.get_num_threads()) == (3, 1)
    assert torch.get_num_threads() == 3


def test_the_old_number_comes_back_after_an_error() -> None:
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 3


class Counting(SplitMultiHeadAttention):
    """Writes down how many threads each call has."""

    seen: ClassVar[list[int]] = []

    def forward(self, *given: torch.Tensor, **options: object) -> object:  # type: ignore[override]
        self.seen.append(torch.get_num_threads())
        return super().forward(*given, **options)  # type: ignore[arg-type]


def train_and_score_copy_back() -> None:
    model, _ = train_copy_back(lambda: Counting(8, 2), 8, steps=2)
    copy_back_accuracy(model, (3,))


def train_and_score_retrieval() -> None:
    model = train_retrieval(lambda: Counting(FEATURES, 2), "together", steps=2)
    retrieval_accuracy(model, "together")


@pytest.mark.parametrize("train", [train_and_score_copy_back, train_and_score_retrieval])
def test_toys_train_in_one_thread(train: Callable[[], None]) -> None:
    Counting.seen.clear()
    train()
    assert len(Counting.seen) == 3
    assert set(Counting.seen) == {1}
    assert torch.get_num_threads() == 3


def test_the_translator_trains_in_the_threads_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def step(trainer: Trainer, *batch: torch.Tensor) -> float:
        trainer.step += 1
        seen.append(torch.get_num_threads())
        return 1.0

    monkeypatch.setattr(Trainer, "one_step", step)
    dates = (["일"], ["1"])
    for threads in (1, 2):
        model = new_model(embed_dim=8, num_heads=2, layers=1, hidden=8)
        trainer = Trainer(model, tmp_path / str(threads), steps=1, threads=threads)
        trainer.run(dates, dates)
    assert seen == [1, 2]
    assert torch.get_num_threads() == 3


def test_no_thread_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted at least one thread, got 0"), in_threads(0):
        pass
