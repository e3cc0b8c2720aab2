import gc

import pytest
import torch
from torch import Tensor

from cleanformer_lite import LoopedMultiHeadAttention, SplitMultiHeadAttention
from cleanformer_lite.timing import peak_memory

X = torch.randn(3, 5, 7)
SIZE = 3 * 5 * 7 * 4  # bytes in float32


def test_one_new_tensor_at_a_time() -> None:
    def chain(x: Tensor) -> Tensor:
        for _ in range(4):
            x = x + 1.0  # the old one is freed once the new one is made: two at a time
        return x

    assert peak_memory(chain, [X]) == 2 * SIZE


def test_all_kept() -> None:
    def keep(x: Tensor) -> Tensor:
        kept = [x + 1.0 for _ in range(4)]
        return kept[0]

    assert peak_memory(keep, [X]) == 4 * SIZE


def test_views_and_in_place_need_nothing_new() -> None:
    assert peak_memory(lambda x: x.view(15, 7).transpose(0, 1).mul_(2.0), [X.clone()]) == 0


def test_backward_counts_the_gradients() -> None:
    weight = torch.randn(7, requires_grad=True)
    # The product, its sum, the gradient of the sum (one number, expanded), x times it, the result.
    peak = peak_memory(lambda x: x * weight, [X], backward=True)
    weight.grad = None
    assert peak == SIZE + 4 + 4 + SIZE + 7 * 4


@pytest.mark.parametrize("length", [64, 128])
def test_scores_of_loop_and_split(length: int) -> None:
    heads, embed_dim, batch = 8, 32, 2
    gc.collect()
    x = torch.randn(batch, length, embed_dim)
    one_map = batch * length * length * 4
    # Scores and their softmax are alive at once: of one head in the loop, of all in the split.
    loop = peak_memory(LoopedMultiHeadAttention(embed_dim, heads), [x])
    split = peak_memory(SplitMultiHeadAttention(embed_dim, heads), [x])
    features = 8 * x.numel() * 4  # q, k, v, their copies and the outputs are fewer than eight
    assert 2 * one_map <= loop <= 2 * one_map + features
    assert 2 * heads * one_map <= split <= 2 * heads * one_map + features
