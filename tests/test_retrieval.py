import itertools
from functools import partial

import pytest
import torch

from cleanformer_lite import SlicedMultiHeadAttention, SplitMultiHeadAttention
from cleanformer_lite.retrieval import (
    accuracy_without_matching,
    model_of_size,
    retrieval_accuracy,
    retrieval_batch,
    train_retrieval,
)

# Where key 1, value 1, key 2, value 2 begin.
STARTS = {"together": (0, 4, 8, 12), "apart": (0, 8, 4, 12)}


@pytest.mark.parametrize("layout", ["together", "apart"])
def test_the_target_is_the_value_beside_the_key(layout: str) -> None:
    query, memory, targets = retrieval_batch(5, layout, torch.Generator().manual_seed(0))
    key_1, value_1, key_2, value_2 = STARTS[layout]
    for n in range(5):
        for problem, (key, value) in enumerate(((key_1, value_1), (key_2, value_2))):
            asked = query[n, 0, key : key + 4].tolist().index(1.0)
            assert query[n, 0, value : value + 4].tolist() == [0.0] * 4
            found = [item for item in memory[n].tolist() if item[key + asked] == 1.0]
            assert len(found) == 1
            assert found[0][value : value + 4].index(1.0) == targets[n, problem]


def test_layouts_differ_in_order_only() -> None:
    batches = [retrieval_batch(3, layout, torch.Generator().manual_seed(1)) for layout in STARTS]
    order = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]
    for ours, theirs in zip(batches[0][:2], batches[1][:2], strict=True):
        assert torch.equal(ours[..., order], theirs)
    assert torch.equal(batches[0][2], batches[1][2])


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wanted a layout of \['together', 'apart'\], got 'far'"):
        retrieval_batch(3, "far", torch.Generator())


def test_naming_the_commonest_of_four() -> None:
    draws = list(itertools.product(range(4), repeat=4))
    share = sum(max(map(draw.count, range(4))) / 4 for draw in draws) / len(draws)
    assert accuracy_without_matching() == pytest.approx(share)


def test_budgets_are_kept_to_one_hidden_number() -> None:
    for attention in (SplitMultiHeadAttention(16, 2), SlicedMultiHeadAttention(16, 2)):
        size = sum(p.numel() for p in model_of_size(attention, 2800).parameters())
        assert 2800 - 25 < size <= 2800
    with pytest.raises(ValueError, match="wanted a budget above 1121, got 1000"):
        model_of_size(SplitMultiHeadAttention(16, 2), 1000)


def test_split_matches_apart_and_sliced_cannot() -> None:
    scores = []
    for kind in (SplitMultiHeadAttention, SlicedMultiHeadAttention):
        model = train_retrieval(partial(kind, 16, 2), "apart", steps=120)
        scores.append(retrieval_accuracy(model, "apart"))
    assert scores[0] > 0.9
    assert scores[1] < 0.58
