"""Steps that mistakes share are taken once, and no mistake gets a step of another."""

import pytest
import torch

from cleanformer_lite.checks import MISTAKES, observe
from cleanformer_lite.checks.course.split_heads import MODULE
from cleanformer_lite.checks.engine.attention import (
    OF_MASKS,
    TO_OUTPUT,
    Attention,
    Comparison,
)
from cleanformer_lite.checks.engine.diagnosis import steps_of
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.engine.trials import LARGE, Contract, compared_calls, together
from cleanformer_lite.checks.observations import ModuleObservations
from tests.checks.right_answers import RIGHT

SEED = 7
# A shared step of these would be the input's changing, or another draw.
COMPARED = {
    f"{species}-{index}": variant
    for species, known in MISTAKES.items()
    for index, variant in enumerate(steps_of(known))
    if species not in ("dropout_in_eval", "input_changed_in_place")
}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """One comparison for all: what one behaviour leaves behind, the next one finds."""
    observed = observe(MODULE, RIGHT[3], SEED)
    assert isinstance(observed, ModuleObservations)
    return Evidence(observed, Contract(), SEED).comparisons[0]


@pytest.mark.parametrize("name", COMPARED)
def test_a_mistake_gives_what_it_gives_alone(comparison: Comparison, name: str) -> None:
    behaviour = COMPARED[name](comparison.reading, LARGE.num_heads)
    for call_name, call in comparison.calls.items():
        try:
            output, weights = behaviour(call.x.clone(), call.attn_mask, call.is_causal)
        except (RuntimeError, IndexError):
            with pytest.raises((RuntimeError, IndexError)):
                comparison.output(behaviour, call_name)
            continue
        ours = comparison.output(behaviour, call_name), comparison.weights(behaviour, call_name)
        for mine, theirs in zip(ours, (output, weights), strict=True):
            assert torch.equal(mine.nan_to_num(9.0), theirs.nan_to_num(9.0)), call_name


def test_a_mistake_changes_nothing_but_known_steps() -> None:
    """Comparisons share what steps make: a change elsewhere would go unseen."""
    steps = {
        *TO_OUTPUT,
        *OF_MASKS,
        "fill",
        "uses_out",
        "tied",
        "shows_in_values",
        "needs_causal",
        "not_in",
        "forms",
        "low",
    }
    for known in MISTAKES.values():
        for variant in steps_of(known):
            for kind in variant.__mro__[: variant.__mro__.index(Attention)]:
                changed = {name for name in vars(kind) if not name.startswith("__")}
                assert changed <= steps, kind


@pytest.mark.parametrize("contract", [Contract(), Contract(masks=False, causal=False)])
def test_all_calls_in_one_batch_are_the_calls_one_by_one(
    comparison: Comparison, contract: Contract
) -> None:
    batch = together(LARGE, contract, SEED)
    right = Attention(comparison.reading, LARGE.num_heads)
    output, weights = right(batch.x, batch.attn_mask)
    start = 0
    for call in compared_calls(LARGE, contract, SEED).values():
        rows = slice(start, start := start + len(call.x))
        mine, maps = right(call.x, call.attn_mask, call.is_causal)
        torch.testing.assert_close(output[rows], mine)
        torch.testing.assert_close(weights[rows], maps)
    assert start == len(batch.x)
