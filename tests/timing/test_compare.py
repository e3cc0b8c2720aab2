import time
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from cleanformer_lite.timing import Comparison, build_variants, compare

X = torch.randn(2, 3, 5)


def waiting(seconds: float) -> "type":
    class Wait(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            time.sleep(seconds)
            return x

    return Wait


def comparison(**seconds: list[float]) -> Comparison:
    return Comparison(seconds, "somewhere")


def test_ratios_are_taken_within_a_round() -> None:
    # The machine drifts tenfold from round to round; within each, b takes twice the time of a.
    result = comparison(a=[1.0, 10.0, 100.0], b=[2.0, 20.0, 200.0])
    assert result.ratios("b") == (2.0, 2.0, 2.0)
    assert result.differs("b")


def test_a_difference_inside_the_spread_is_none() -> None:
    result = comparison(a=[1.0, 1.0, 1.0, 1.0], b=[0.5, 0.9, 1.1, 2.0])
    assert not result.differs("b")
    assert "no difference seen" in str(result)


def test_a_clear_difference_is_printed_without_the_warning() -> None:
    text = str(comparison(a=[1.0, 1.0, 1.0], b=[3.0, 3.0, 3.0]))
    assert "3.00 (3.00 to 3.00)" in text
    assert "no difference" not in text


def test_every_number_carries_its_birth() -> None:
    text = str(compare({"copy": torch.clone}, [X], rounds=2, block_seconds=1e-5))
    for fact in ("forward", "(2, 3, 5)", "float32", "CPU", f"torch {torch.__version__}"):
        assert fact in text


def test_variants_take_turns_and_keep_their_order() -> None:
    result = compare({"slow": waiting(2e-3)(), "fast": waiting(0)()}, [X], rounds=3)
    assert list(result.seconds) == ["slow", "fast"]
    assert {len(times) for times in result.seconds.values()} == {3}
    assert all(seconds >= 2e-3 for seconds in result.seconds["slow"])


def test_each_round_has_an_order_of_its_own() -> None:
    order: list[str] = []

    def noted(name: str) -> Callable[[Tensor], Tensor]:
        def call(x: Tensor) -> Tensor:
            if order[-1:] != [name]:
                order.append(name)
            return x

        return call

    compare({name: noted(name) for name in "abc"}, [X], rounds=12, block_seconds=1e-9)
    # Blocks of one variant after another: in a fixed order each would follow the same one always.
    followers = {name: set() for name in "abc"}  # type: dict[str, set[str]]
    for one, next_one in pairwise(order):
        followers[one].add(next_one)
    assert followers == {"a": {"b", "c"}, "b": {"a", "c"}, "c": {"a", "b"}}


def test_backward_starts_from_no_gradient() -> None:
    layer = torch.nn.Linear(5, 1, bias=False)
    compare({"layer": layer}, [X], backward=True, rounds=2, block_seconds=1e-5)
    assert layer.weight.grad is not None
    # Added up over calls it would be a multiple of this.
    torch.testing.assert_close(layer.weight.grad, X.sum(dim=(0, 1))[None])


def test_own_inputs_for_each() -> None:
    seen = []
    variants = {
        "a": lambda x: seen.append(("a", x.shape[0])),
        "b": lambda x: seen.append(("b", x.shape[0])),
    }
    compare(
        variants,
        {"a": [torch.zeros(2)], "b": [torch.zeros(3)]},
        rounds=2,
        block_seconds=1e-5,
        different=["b"],
    )
    assert set(seen) == {("a", 2), ("b", 3)}


@pytest.mark.parametrize(
    ("variants", "inputs", "rounds", "message"),
    [
        ({}, [X], 5, "wanted a variant"),
        ({"a": torch.clone}, [X], 1, "two rounds at least, got 1 and 1"),
        ({"a": torch.clone}, {"b": [X]}, 5, r"wanted inputs for \['a'\], got inputs for \['b'\]"),
    ],
)
def test_bad_calls_say_what_was_wanted(
    variants: dict[str, object], inputs: object, rounds: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare(variants, inputs, rounds=rounds)  # type: ignore[arg-type]


def test_variants_that_compute_something_else_are_refused_before_any_timing() -> None:
    called: list[int] = []

    def doubled(x: Tensor) -> Tensor:
        called.append(1)
        return 2 * x

    message = "wanted variants that compute the same, got 'doubled' 1 away from 'same'"
    with pytest.raises(ValueError, match=message):
        compare({"same": torch.clone, "doubled": doubled}, [X])
    assert len(called) == 1
    assert compare(
        {"same": torch.clone, "doubled": doubled}, [X], rounds=2, different=["doubled"]
    ).seconds["doubled"]


def test_the_kernel_stands_beside_the_number() -> None:
    built = build_variants(["fused", "split"], 12, 3)
    found = compare(built, torch.randn(2, 3, 12), rounds=2, block_seconds=1e-5)
    assert found.kernels == {"fused": "flash", "split": "written out"}
    heading, fused, split = str(found).splitlines()[:3]
    assert "attention" in heading
    assert "flash" in fused
    assert "written out" in split
    assert "<td" in found._repr_html_()
    assert "attention" not in str(compare({"copy": torch.clone}, X, rounds=2, block_seconds=1e-5))


def test_times_are_taken_in_one_thread_which_is_given_back() -> None:
    before, seen = torch.get_num_threads(), []

    def note(x: Tensor) -> Tensor:
        seen.append(torch.get_num_threads())
        return x

    torch.set_num_threads(3)
    try:
        found = compare({"note": note}, [X], rounds=2, block_seconds=1e-5)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}
    assert "1 thread of" in str(found)


def test_nan_agrees_with_nothing() -> None:
    with pytest.raises(ValueError, match="got 'lost' nan away"):
        compare({"same": torch.clone, "lost": lambda x: x * float("nan")}, [X])


def test_another_shape_is_another_function() -> None:
    with pytest.raises(ValueError, match="got 'flat' inf away"):
        compare({"same": torch.clone, "flat": torch.flatten}, [X])


def test_names_that_are_not_there_cannot_differ() -> None:
    with pytest.raises(ValueError, match=r"out of \['a'\] in `different`, got \['b'\]"):
        compare({"a": torch.clone}, [X], different=["b"])


def test_the_table_says_how_far_outputs_agree() -> None:
    text = str(
        compare(
            {"plain": torch.clone, "off": lambda x: x * (1 + 3e-6)}, [X], rounds=2,
            block_seconds=1e-5,
        )
    )  # fmt: skip
    assert "outputs agree to 3e-06" in text
    assert "2 rounds" in text


def interrupted_after(calls: int) -> Callable[[Tensor], Tensor]:
    left = [calls]

    def call(x: Tensor) -> Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return x

    return call


def test_an_interrupt_keeps_the_rounds_that_are_whole() -> None:
    # One call to compare outputs; then torch's Timer makes two calls before each that it times:
    # one of these to warm up, and one a round.
    slow = waiting(1e-3)()
    variants = {"slow": slow, "interrupted": interrupted_after(1 + 3 + 4 * 3)}
    inputs = {"slow": [X], "interrupted": [X]}
    found = compare(variants, inputs, rounds=9, block_seconds=1e-9)
    assert {name: len(times) for name, times in found.seconds.items()} == {
        "slow": 4,
        "interrupted": 4,
    }


def test_an_interrupt_before_the_first_round_is_passed_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        compare({"interrupted": interrupted_after(3)}, [X], block_seconds=1e-9)


def test_whoever_watches_may_end_it() -> None:
    seen: list[int] = []

    def watch(found: Comparison) -> bool:
        seen.append(len(found.seconds["copy"]))
        return len(seen) == 3

    found = compare({"copy": torch.clone}, [X], rounds=9, block_seconds=1e-9, watch=watch)
    assert seen == [1, 2, 3]
    assert len(found.seconds["copy"]) == 3
