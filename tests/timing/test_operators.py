import re

import pytest
import torch
from torch import Tensor, nn

from cleanformer_lite import (
    FusedMultiHeadAttention,
    HeadsBuiltInForward,
    HeadsInPlainList,
    LoopedMultiHeadAttention,
    SingleHeadAttention,
    SlicedMultiHeadAttention,
    SplitMultiHeadAttention,
    WideMultiHeadAttention,
)
from cleanformer_lite.timing import (
    VARIANTS,
    OperatorCount,
    build_variants,
    count_operators,
    peak_memory,
)
from cleanformer_lite.timing.counts import name_kernel

# Two sequences: with one, a split has nothing to copy and the counts would be lower.
X = torch.randn(2, 5, 96)


@pytest.mark.parametrize("heads", [1, 2, 3, 8, 32])
def test_loop_launches_seven_operators_a_head_and_two_more(heads: int) -> None:
    # Three projections, the scaling, the scores, softmax, the mean; then cat and out_proj.
    assert count_operators(LoopedMultiHeadAttention(96, heads), [X]).compute == 7 * heads + 2
    assert count_operators(HeadsInPlainList(96, heads), [X]).compute == 7 * heads + 2


@pytest.mark.parametrize("heads", [2, 3, 8, 32])
def test_split_launches_twelve_however_many_heads(heads: int) -> None:
    # Four projections, the scaling, the scores, softmax, the mean, and four copies into order.
    assert count_operators(SplitMultiHeadAttention(96, heads), [X]).compute == 12


@pytest.mark.parametrize("heads", [1, 3, 8])
def test_building_three_layers_a_head_costs_twelve_operators_more(heads: int) -> None:
    assert count_operators(HeadsBuiltInForward(96, heads), [X]).compute == 19 * heads + 2


@pytest.mark.parametrize("heads", [1, 2, 3, 8, 32])
def test_fused_launches_three_however_many_heads(heads: int) -> None:
    # The product that makes q, k and v, the kernel, the output projection.
    assert count_operators(FusedMultiHeadAttention(96, heads), [X]).compute == 3


@pytest.mark.parametrize("heads", [2, 3, 8])
def test_sliced_and_wide_loop_over_their_heads(heads: int) -> None:
    # Sliced gathers the slice for q, k and v first: three operators a head more than the loop.
    assert count_operators(SlicedMultiHeadAttention(96, heads), [X]).compute == 10 * heads + 2
    assert count_operators(WideMultiHeadAttention(96, heads), [X]).compute == 7 * heads + 2


@pytest.mark.parametrize("heads", [2, 3, 8])
def test_with_gradients_the_laws_are_other_numbers_but_as_straight(heads: int) -> None:
    def count(kind: type[nn.Module]) -> int:
        return count_operators(kind(96, heads), [X], backward=True).compute

    assert count(LoopedMultiHeadAttention) == 20 * heads + 7
    assert count(HeadsBuiltInForward) == 32 * heads + 7
    assert count(SplitMultiHeadAttention) == 33
    assert count(FusedMultiHeadAttention) == 12


def test_a_tensor_stands_for_a_list_of_one() -> None:
    module = LoopedMultiHeadAttention(96, 3)
    assert count_operators(module, X) == count_operators(module, [X])
    assert peak_memory(module, X, backward=True) == peak_memory(module, [X], backward=True)


def test_views_are_counted_apart() -> None:
    def two_views_and_one_sum(x: Tensor) -> Tensor:
        return x.view(2, 480).transpose(0, 1).sum()

    assert count_operators(two_views_and_one_sum, [X]) == (1, 2)


def test_in_place_is_work_not_a_view() -> None:
    assert count_operators(lambda x: x.add_(1.0), [X.clone()]) == (1, 0)


def test_backward_adds_its_own_operators() -> None:
    head = SingleHeadAttention(96)
    forward = count_operators(head, [X]).compute
    assert forward == 7
    # Each of the seven has a gradient of at least one operator.
    assert count_operators(head, [X], backward=True).compute >= 2 * forward


def test_backward_without_a_gradient_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted an output that carries a gradient"):
        count_operators(nn.Identity(), [X], backward=True)


def test_a_second_count_equals_the_first() -> None:
    # Adding to gradients that are already there would be six operators more.
    head = SingleHeadAttention(96)
    first = count_operators(head, [X], backward=True)
    assert count_operators(head, [X], backward=True) == first


def test_the_output_of_a_tuple_is_its_first() -> None:
    def with_weights(x: Tensor) -> tuple[Tensor, Tensor]:
        output, weights = SingleHeadAttention(96)(x, need_weights=True)
        return output, weights

    def without(x: Tensor) -> Tensor:
        output: Tensor = SingleHeadAttention(96)(x)
        return output

    counts = [count_operators(call, [X], backward=True) for call in (without, with_weights)]
    assert counts[0].compute == counts[1].compute


def test_the_kernel_is_read_off_what_ran() -> None:
    built = build_variants(VARIANTS, 96, 3)
    assert {name: name_kernel(variant, [X]) for name, variant in built.items()} == {
        "fused": "flash",
        "split": "written out",
        "looped": "written out",
        "built in forward": "written out",
        "fused, no flash": "written out",
        "nn.MHA": "flash",
        "nn.MHA, weights": "written out",
    }
    # In eval mode, without gradients and with an even number of heads, PyTorch's own module is one
    # operator that hides several.
    even = build_variants(["nn.MHA"], 96, 4)["nn.MHA"].eval()
    assert name_kernel(even, [X]) == "fast path"


def test_a_count_is_drawn_as_bars_on_one_scale() -> None:
    drawn = OperatorCount(compute=5, views=20)._repr_html_()
    assert re.findall(r"width:(\d+)px", drawn) == ["50", "200"]
    assert re.findall(r">(\w+)</th>", drawn) == ["compute", "views"]
    assert re.findall(r">(\d+)</td>", drawn) == ["5", "20"]
    assert "width:0px" in OperatorCount(0, 0)._repr_html_()
