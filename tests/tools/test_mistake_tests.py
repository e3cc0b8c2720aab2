"""The tests of three lines on the page of mistakes: right modules pass them, mistakes do not."""

import pytest
from mistake_tests import TESTS, differing_lines, fails, make, test_for
from write_mistakes import NOT, matrix, mistake_modules

from cleanformer_lite import FusedMultiHeadAttention, LoopedMultiHeadAttention
from cleanformer_lite.checks import MISTAKES
from cleanformer_lite.checks.engine.attention import Attention, module_of

# Found by comparing with the right attention, or by taking weights out: more than three lines.
WITHOUT = {"dropout_elsewhere", "heads_summed", "residual_inside"}
test_for.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", TESTS)
def test_right_modules_pass(name: str) -> None:
    right = [make(module_of(Attention), seed) for seed in range(5)]
    for module in [*right, LoopedMultiHeadAttention(28, 4, dropout=0.5)]:
        if name != "score_scale" or hasattr(module, "q_proj"):
            assert not fails(TESTS[name], module)
    if name != "score_scale":
        assert not fails(TESTS[name], FusedMultiHeadAttention(28, 4, dropout=0.5))


def test_every_mistake_of_a_module_fails_the_test_that_the_page_gives_it() -> None:
    table = matrix()
    without = set()
    for mistake, modules in mistake_modules().items():
        caught = [name for name, cell in table[mistake].items() if cell != NOT]
        name, _ = test_for(modules, caught)
        if name:
            assert all(fails(TESTS[name], make(modules[0], seed), seed) for seed in (1, 2, 3))
        else:
            without.add(mistake)
    assert without == WITHOUT


def test_tests_take_three_lines() -> None:
    for test in TESTS.values():
        assert len(test.splitlines()) <= 3


def test_every_mistake_shows_its_code_and_a_step_what_is_right_there() -> None:
    for known in MISTAKES.values():
        assert differing_lines(known)[0], known.id
    wrong, right = differing_lines(MISTAKES["softmax_over_queries"])
    assert "dim=-2" in wrong
    assert "dim=-1" in right
    assert differing_lines(MISTAKES["positions_base"])[0].startswith("# base = ")
