import pytest
import torch
from torch import nn

import cleanformer_lite.timing.sweep as sweeping
from cleanformer_lite.timing import VARIANTS, Rates, Shape, build_variants, compare, wrong_ways
from cleanformer_lite.timing.compare import gap_between
from cleanformer_lite.timing.sweep import Point, sweep
from cleanformer_lite.timing.wrong_ways import another_function

RATES = {"float32": Rates(flops=1e9, bandwidth=1e9, launch=1e-6)}
POINTS = [Point(Shape(1, 5, 15, heads)) for heads in (1, 3)]
X = torch.randn(2, 7, 12)


def test_variants_share_one_set_of_weights() -> None:
    built = build_variants([name for name in VARIANTS if name != "built in forward"], 12, 3)
    outputs = [variant.double()(X.double()) for variant in built.values()]
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0], rtol=0, atol=1e-12)
    assert len(built) == 6


def test_gradients_agree_as_well() -> None:
    def gradient(variant: nn.Module) -> torch.Tensor:
        x = X.double().requires_grad_()
        variant.double()(x).square().sum().backward()
        assert x.grad is not None
        return x.grad

    built = build_variants(["split", "looped", "fused", "nn.MHA"], 12, 3)
    gradients = [gradient(variant) for variant in built.values()]
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_variant_runs_in_every_dtype(dtype: torch.dtype) -> None:
    for variant in build_variants(VARIANTS, 12, 3, dtype=dtype).values():
        assert variant(X.to(dtype)).dtype == dtype
    assert torch.get_default_dtype() == torch.float32


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(ValueError, match=r"wanted variants out of .*, got 'flash'"):
        build_variants(["fused", "flash"], 12, 3)
    with pytest.raises(ValueError, match="got none"):
        build_variants([], 12, 3)


def test_a_sweep_gives_a_row_for_each_variant_at_each_point() -> None:
    found = list(sweep(POINTS, ["fused", "looped"], RATES, rounds=3, block_seconds=1e-5))
    assert [[(row.variant, row.num_heads) for row in rows] for rows in found] == [
        [("fused", 1), ("looped", 1)],
        [("fused", 3), ("looped", 3)],
    ]
    fused, looped = found[1]
    assert looped.operators == 7 * 3 + 2
    assert (fused.kernel, looped.kernel) == ("flash", "written out")
    assert fused.ratio == (1.0, 1.0, 1.0)
    assert fused.rounds == 3
    # 8 N L E E + 4 N L L E at 1e9 a second; memory takes less.
    assert fused.floor == pytest.approx((8 * 5 * 15 * 15 + 4 * 5 * 5 * 15) / 1e9)
    assert (fused.device_time, fused.launches, fused.compile_time) == (None, None, None)


def test_a_compiled_variant_says_how_long_compiling_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module: module)  # a compiler is not what is tested
    rows = next(sweep(POINTS, ["split", "split, compiled"], RATES, rounds=2, block_seconds=1e-5))
    plain, compiled = rows
    assert plain.compile_time is None
    assert compiled.compile_time is not None
    assert compiled.compile_time > 0
    assert compiled.operators is None  # it runs as one piece


def test_an_interrupted_point_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **options: object) -> object:
        return compare(*args, **{**options, "watch": lambda found: True})  # type: ignore[arg-type]

    monkeypatch.setattr(sweeping, "compare", interrupted)
    found = list(sweep(POINTS, ["fused", "looped"], RATES, rounds=5, block_seconds=1e-5))
    assert [row.rounds for rows in found for row in rows] == [1, 1]


def test_wrong_ways_are_named_and_one_of_them_needs_a_gpu() -> None:
    found = {
        way.name: way for way in wrong_ways(lambda: build_variants(["split"], 12, 3)["split"], X)
    }
    assert list(found) == [
        "first calls included", "no synchronise", "zeros as input", "unequal weights",
    ]  # fmt: skip
    assert found["no synchronise"].off is None
    assert "only a GPU shows it" in str(found["no synchronise"])
    for name in ("first calls included", "zeros as input", "unequal weights"):
        off = found[name].off
        assert off is not None
        assert 0 < off.lower <= off.median <= off.upper
        assert f"{off.median:.2f} times the right time" in str(found[name])


def test_the_lacking_variant_leaves_the_whole_one_as_it_was() -> None:
    module = build_variants(["split"], 12, 3)["split"]
    before = module(X)
    another_function(module, X)
    assert torch.equal(module(X), before)


def test_a_gap_is_taken_against_the_largest_number() -> None:
    expected = torch.tensor([4.0, -8.0])
    assert gap_between(torch.tensor([4.0, -6.0]), expected) == 2.0 / 8.0
