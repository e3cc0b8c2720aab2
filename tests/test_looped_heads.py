import pytest
import torch
from hypothesis import given
from torch import Tensor

from cleanformer_lite import LoopedMultiHeadAttention, SingleHeadAttention
from cleanformer_lite.looped_heads import mask_per_head
from tests.implementations import (
    Problem,
    assert_close,
    assert_same_answer,
    by_looped,
    by_split,
    by_torch_function,
    by_torch_module,
    problems,
)
from tests.properties import random

READABLE = ("none", "padding", "causal", "boolean", "one for all", "causal padding")


@given(problems(*READABLE))
def test_as_torch_module(problem: Problem) -> None:
    assert_same_answer(problem, by_looped, by_torch_module)


@given(problems(*READABLE, "masked rows", "causal masked rows"))
def test_as_torch_function(problem: Problem) -> None:
    assert_same_answer(problem, by_looped, by_torch_function)


@given(problems(*READABLE, "masked rows", "causal masked rows"))
def test_as_split(problem: Problem) -> None:
    assert_same_answer(problem, by_looped, by_split)


def test_a_head_is_registered_under_its_number() -> None:
    names = set(LoopedMultiHeadAttention(6, 2).state_dict())
    kinds = ("weight", "bias")
    heads = {f"heads.{h}.{p}_proj.{kind}" for h in (0, 1) for p in "qkv" for kind in kinds}
    assert names == heads | {f"out_proj.{kind}" for kind in kinds}


def test_bias_and_dropout_reach_every_head() -> None:
    module = LoopedMultiHeadAttention(6, 3, bias=False, dropout=0.25)
    assert not [name for name, _ in module.named_parameters() if name.endswith("bias")]
    assert [head.dropout for head in module.heads] == [0.25] * 3


@pytest.mark.parametrize(
    "shape", [(7,), (5, 7), (3, 5, 7), (1, 1, 7), (2, 1, 1, 7), (2, 3, 5, 7)], ids=str
)
def test_each_head_gets_its_own_part_of_a_mask(shape: tuple[int, ...]) -> None:
    mask = random(*shape) > 0
    parts = mask_per_head(mask, torch.zeros(2, 5, 6), torch.zeros(2, 7, 6), num_heads=3)
    whole = mask | torch.zeros(2, 3, 5, 7, dtype=torch.bool)
    assert len(parts) == 3
    for h, part in enumerate(parts):
        assert part is not None
        assert part.tolist() == whole[:, h : h + 1].tolist()


def test_no_mask_is_none_for_each_head() -> None:
    x = torch.zeros(2, 5, 6)
    assert mask_per_head(None, x, x, num_heads=3) == [None] * 3


def test_output_is_made_from_the_weights_it_returns() -> None:
    """Also with dropout: the weights returned are those that were used."""
    torch.manual_seed(0)
    module = LoopedMultiHeadAttention(6, 3, dropout=0.4).double().train()
    x, memory = random(2, 5, 6), random(2, 7, 6)
    output, weights = module(x, memory, need_weights=True)
    assert (weights == 0).any()
    read: list[Tensor] = []
    for h, head in enumerate(module.heads):
        assert isinstance(head, SingleHeadAttention)
        values = memory @ head.v_proj.weight.T + head.v_proj.bias
        read.append((weights[:, h, :, :, None] * values[:, None]).sum(2))
    mixed = torch.cat(read, -1) @ module.out_proj.weight.T + module.out_proj.bias
    assert_close(output, mixed)
