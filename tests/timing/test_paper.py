import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cleanformer_lite import LoopedMultiHeadAttention, SplitMultiHeadAttention
from cleanformer_lite.timing import (
    VARIANTS,
    Rates,
    Shape,
    build_variants,
    count_bytes,
    count_flops,
    fit_line,
    floor_seconds,
    measure_rates,
    predict_seconds,
)
from cleanformer_lite.timing.variants import Variant

SHAPE = Shape(batch=2, length=7, embed_dim=15, num_heads=3)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("kind", [SplitMultiHeadAttention, LoopedMultiHeadAttention])
def test_flops_are_those_that_torch_counts(kind: type[torch.nn.Module], backward: bool) -> None:
    # The input asks for its gradient, as it does inside a model.
    x = torch.randn(2, 7, 15, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        output = kind(15, 3)(x)
        if backward:
            output.sum().backward()
    assert count_flops(SHAPE, backward=backward) == counter.get_total_flops()


@pytest.mark.parametrize("name", [n for n, v in VARIANTS.items() if v.same_function])
def test_the_table_counts_the_weights_that_a_variant_has(name: str) -> None:
    module = build_variants([name], 15, 3)[name]
    matrices = [p.numel() for p in module.parameters() if p.dim() == 2]
    assert VARIANTS[name].weights(SHAPE) == sum(matrices)


def test_paper_reads_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two heads share keys and values, say: 15 x 15 for query and output, 15 x 5 for the others.
    fewer = Variant(SplitMultiHeadAttention, weights=lambda shape: 2 * 225 + 2 * 75)
    monkeypatch.setitem(VARIANTS, "grouped", fewer)
    saved = 2 * 225 - 2 * 75
    usual = count_flops(SHAPE) - count_flops(SHAPE, variant="grouped")
    assert usual == 2 * 2 * 7 * saved
    assert count_bytes(SHAPE, 4) - count_bytes(SHAPE, 4, variant="grouped") == 4 * saved
    assert count_flops(SHAPE, variant="grouped, compiled") == count_flops(SHAPE, variant="grouped")
    with pytest.raises(ValueError, match=r"wanted variants out of .*, got 'wide'"):
        count_flops(SHAPE, variant="wide")


def test_bytes_are_input_weights_and_output_once() -> None:
    features, weights = 2 * 7 * 15, 4 * 15 * 15
    assert count_bytes(SHAPE, itemsize=2) == 2 * (2 * features + weights)
    # Back: output's gradient in, input and weights read again, both gradients out.
    back = 3 * features + 2 * weights
    assert count_bytes(SHAPE, itemsize=2, backward=True) == 2 * (2 * features + weights + back)


def test_the_floor_is_the_slower_of_arithmetic_and_memory() -> None:
    quick_memory = Rates(flops=1.0, bandwidth=1e30, launch=0.0)
    quick_arithmetic = Rates(flops=1e30, bandwidth=1.0, launch=0.0)
    assert floor_seconds(SHAPE, quick_memory, 4) == count_flops(SHAPE)
    assert floor_seconds(SHAPE, quick_arithmetic, 4) == count_bytes(SHAPE, 4)
    # Both go on at once: where each takes three seconds, so do both.
    even = Rates(flops=count_flops(SHAPE) / 3, bandwidth=count_bytes(SHAPE, 4) / 3, launch=0.0)
    assert floor_seconds(SHAPE, even, 4) == pytest.approx(3.0)


def test_a_prediction_is_launching_where_that_takes_longer() -> None:
    rates = Rates(flops=1e30, bandwidth=1e30, launch=5e-6)
    assert predict_seconds(SHAPE, rates, operators=58, itemsize=4) == pytest.approx(290e-6)
    slow = Rates(flops=1.0, bandwidth=1e30, launch=5e-6)
    assert predict_seconds(SHAPE, slow, operators=58, itemsize=4) == count_flops(SHAPE)


def test_rates_are_those_of_a_machine() -> None:
    rates = measure_rates()
    assert 1e8 < rates.flops < 1e15
    assert 1e8 < rates.bandwidth < 1e14
    assert 1e-8 < rates.launch < 1e-2


@pytest.mark.parametrize("sizes", [(0, 7, 15, 3), (2, 7, 15, 4)])
def test_sizes_that_do_not_fit_are_refused(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="wanted sizes above 0 and an embed_dim that num_heads"):
        Shape(*sizes)


def test_a_line_through_points_that_lie_on_one() -> None:
    line = fit_line([9, 16, 30, 58], [1.0 + 0.5 * x for x in (9, 16, 30, 58)])
    assert line == pytest.approx((0.5, 1.0, 1.0))
    assert "R2 = 1.0000" in str(line)


def test_r_squared_is_the_share_that_the_line_explains() -> None:
    # By hand: means 2 and 2; slope 1/2, so it explains 2 x 1/4 of a variance of 2.
    line = fit_line([1, 2, 3], [1.0, 3.0, 2.0])
    assert line == pytest.approx((0.5, 1.0, 0.25))
    assert fit_line([1, 2], [3.0, 3.0]) == (0.0, 3.0, 1.0)


@pytest.mark.parametrize(("operators", "seconds"), [([1, 1], [1.0, 2.0]), ([1, 2], [1.0])])
def test_what_gives_no_line_is_refused(operators: list[int], seconds: list[float]) -> None:
    with pytest.raises(ValueError, match="wanted as many times as counts"):
        fit_line(operators, seconds)
