"""Everybody against the loop over indices, and the loop over indices against pencil and paper."""

import pytest
from hypothesis import given, settings

from tests.implementations import (
    Problem,
    assert_as_by_indices,
    by_indices,
    by_looped,
    by_split,
    by_torch_function,
    by_torch_module,
    problems,
)


@settings(max_examples=16)
@given(problems("none", "padding", "causal", "boolean", "one for all", "causal padding"))
def test_all_agree_with_the_loop_over_indices(problem: Problem) -> None:
    assert_as_by_indices(problem, by_looped, by_split, by_torch_function, by_torch_module)


@settings(max_examples=8)
@given(problems("masked rows", "causal masked rows"))
def test_all_agree_where_some_queries_may_read_nothing(problem: Problem) -> None:
    """All but `torch.nn.MultiheadAttention`, which gives NaN there."""
    assert_as_by_indices(problem, by_looped, by_split, by_torch_function)


def test_the_loop_over_indices_by_arithmetic() -> None:
    """One head, width 1, weights 1: output = (v0 + 3 v1) / 4 when the scores are 0 and log 3."""
    problem = Problem(batch=1, length=1, keys=2, num_heads=1, head_dim=1, bias=False)
    scores = [0.0, 1.0986122886681098]
    for name, leaf in problem.leaves.items():
        leaf.data.fill_(1.0)
        if name == "key":
            leaf.data[0, :, 0] = leaf.new_tensor(scores)
        if name == "value":
            leaf.data[0, :, 0] = leaf.new_tensor([2.0, 10.0])
    problem.upstream.fill_(1.0)
    output, weights, gradients = by_indices(problem)
    assert output.item() == pytest.approx(8.0, abs=1e-12)
    assert weights.flatten().tolist() == pytest.approx([0.25, 0.75], abs=1e-12)
    # d output / d value = weights; d output / d score_j = weight_j (value_j - output)
    assert gradients["value"].flatten().tolist() == pytest.approx([0.25, 0.75], abs=1e-12)
    assert gradients["key"].flatten().tolist() == pytest.approx([-1.5, 1.5], abs=1e-12)
