"""The judge believes nothing: forged, broken and missing facts fail, and raise nothing."""

import random
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from cleanformer_lite.checks import EXERCISES, Exercise, judge, observe
from cleanformer_lite.checks.api import time_limit
from cleanformer_lite.checks.engine.function_probe import FunctionProbe
from tests.checks.fused_specimens import SWAPS, answer
from tests.checks.right_answers import RIGHT
from tests.checks.test_module_answers import output_alone

SEED = 11


def right_facts(exercise: Exercise) -> dict[str, Any]:
    probe = exercise.probe
    if isinstance(probe, FunctionProbe):
        return observe(exercise, probe.reference, SEED)
    module = answer() if probe.contract.weights else output_alone(answer())  # type: ignore[attr-defined]
    return observe(exercise, module, SEED)


WRONG: list[Any] = [
    "text",
    True,
    10**30,
    -1,
    float("nan"),
    None,
    [],
    torch.tensor([]),
    torch.full((2, 3), float("nan")),
    torch.zeros(1, dtype=torch.complex64),
    torch.zeros(2, 3, dtype=torch.int64),
    "99999999,99999999",
    "1,1,1,1,1,1,1,1,1",
]


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_right_facts_pass_and_no_single_fact_can_be_left_out(exercise: Exercise) -> None:
    facts = right_facts(exercise)
    assert judge(exercise, facts, SEED).passed
    # The small trial is for showing: the large one holds the same facts and more.
    optional = ("name.", "gradient.", "used", "step.", "shape.", "small.", "cut")
    for key in facts:
        # Some calls are made for one question, about the weights or about the output.
        unasked = r"(dropout\..*|large\.single)\.weights|large\.(loud|triple)\.output"
        if not key.startswith(optional) and not re.fullmatch(unasked, key):
            left = {k: v for k, v in facts.items() if k != key}
            assert not judge(exercise, left, SEED).passed, key


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_forged_facts_raise_nothing_and_score_nothing(exercise: Exercise) -> None:
    facts = right_facts(exercise)
    chosen = random.Random(3)
    for key in chosen.sample(sorted(facts), min(20, len(facts))):
        forged = {**facts, key: chosen.choice(WRONG)}
        report = judge(exercise, forged, SEED)
        assert report.status in ("passed", "failed", "crashed", "missing")
        str(report)
    for value in WRONG:
        report = judge(exercise, dict.fromkeys(facts, value), SEED)
        assert not report.passed
        assert report.points == 0
    empty: list[dict[str, Any]] = [{}, {"passed": True}, {"points": 100}, {"small.plain.output": 1}]
    for forged in empty:
        assert not judge(exercise, forged, SEED).passed


@pytest.mark.parametrize("species", ["shared_layer", "split_before_projection", "plain_list"])
def test_no_forged_count_keeps_the_judge_busy(species: str) -> None:
    exercise = EXERCISES["registration_bug.repair"]
    facts = observe(exercise, output_alone(answer(*SWAPS[species][0])), SEED)
    for key, value in facts.items():
        if type(value) is int:
            with time_limit(10):
                assert not judge(exercise, {**facts, key: 10**12}, SEED).passed


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_facts_of_another_seed_do_not_pass(exercise: Exercise) -> None:
    facts = right_facts(exercise)
    if any(isinstance(value, Tensor) for value in facts.values()):
        assert not judge(exercise, facts, SEED + 1).passed


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_facts_are_flat_and_plain(exercise: Exercise) -> None:
    for key, value in right_facts(exercise).items():
        assert isinstance(key, str)
        assert isinstance(value, Tensor | str | bool | int | float)
        assert not (isinstance(value, Tensor) and value.requires_grad)


@pytest.mark.parametrize("forged", [3, [], None, {3: 4}, {"small.plain.output": object()}])
def test_facts_that_are_not_facts_fail(forged: Any) -> None:
    for exercise in EXERCISES.values():
        assert not judge(exercise, forged, SEED).passed


def test_wrong_outputs_anywhere_are_seen() -> None:
    exercise = EXERCISES["split_heads.module"]
    facts = observe(exercise, RIGHT[0], SEED)
    for key, value in facts.items():
        if isinstance(value, Tensor) and key.startswith(("large.", "small.")):
            moved = value.clone()
            moved.view(-1)[-1] += 0.01
            report = judge(exercise, {**facts, key: moved}, SEED)
            unseen = key.startswith("small.") or key == "large.blind.output"
            unseen = unseen or bool(re.match(r"large\.(loud|single|triple)", key))
            assert unseen or not report.passed, key
