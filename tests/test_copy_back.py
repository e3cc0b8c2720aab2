import math

import pytest
import torch
from torch import nn

from cleanformer_lite import HeadsBuiltInForward, LoopedMultiHeadAttention
from cleanformer_lite.copy_back import (
    CopyBackModel,
    copy_back_accuracy,
    copy_back_batch,
    train_copy_back,
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_targets_stand_the_offset_back() -> None:
    letters, targets = copy_back_batch(3, 7, (2, 5), generator())
    assert letters.shape == (3, 7)
    assert targets.shape == (3, 7, 2)
    for row in range(3):
        for place in range(7):
            for k, offset in enumerate((2, 5)):
                source = place - offset if place >= offset else place
                assert targets[row, place, k] == letters[row, source]


@pytest.mark.parametrize("offsets", [(), (0,), (7,), (2, 9)])
def test_an_offset_out_of_reach_is_refused(offsets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"wanted offsets between 1 and 6, got \("):
        copy_back_batch(3, 7, offsets, generator())


def test_the_same_seed_gives_the_same_losses() -> None:
    def losses() -> list[float]:
        return train_copy_back(lambda: LoopedMultiHeadAttention(10, 2), 10, steps=5)[1]

    assert losses() == losses()


def test_right_heads_learn_and_new_ones_each_call_do_not() -> None:
    right, _ = train_copy_back(lambda: LoopedMultiHeadAttention(32, 4), 32, steps=60)
    assert copy_back_accuracy(right, (3,)) > 0.99
    wrong, losses = train_copy_back(lambda: HeadsBuiltInForward(32, 4), 32, steps=60)
    # Guessing among eight letters.
    assert copy_back_accuracy(wrong, (3,)) == pytest.approx(1 / 8, abs=0.06)
    assert losses[-1] < math.log(8)  # the residual hides it: the loss falls all the same


def test_a_causal_model_cannot_be_asked_to_look_ahead() -> None:
    model, _ = train_copy_back(lambda: LoopedMultiHeadAttention(10, 2), 10, steps=0)
    letters, _ = copy_back_batch(1, 9, (3,), generator())
    changed = letters.clone()
    changed[0, -1] = (changed[0, -1] + 1) % 8
    difference = (model(letters) - model(changed)).abs().amax(dim=(0, 2, 3))
    assert difference[:-1].max() == 0
    assert difference[-1] > 0


def test_a_hidden_layer_reads_out_what_one_linear_layer_cannot() -> None:
    torch.manual_seed(0)
    models = [
        CopyBackModel(nn.Identity(), 10, 9, 2, residual=True, hidden=hidden) for hidden in (0, 7)
    ]
    linear, hidden = (model.readout for model in models)
    x, y = torch.randn(2, 3, 10)
    middle = [readout((x + y) / 2) - (readout(x) + readout(y)) / 2 for readout in (linear, hidden)]
    assert middle[0].abs().max() < 1e-6
    assert middle[1].abs().max() > 1e-3
    assert hidden(x).shape == linear(x).shape == (3, 16)
