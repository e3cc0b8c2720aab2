"""The judge believes nothing: forged, broken and missing observations fail, and raise nothing."""

import random
import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from cleanformer_lite.checks import EXERCISES, Exercise, NoAnswer, Observations, judge, observe
from cleanformer_lite.checks.api import time_limit
from cleanformer_lite.checks.engine.function_probe import FunctionProbe
from cleanformer_lite.checks.observations import (
    CaseOutcome,
    FunctionObservations,
    ModuleObservations,
    Other,
    Raised,
    Registered,
    WrongKind,
)
from tests.checks.fused_specimens import SWAPS, answer
from tests.checks.right_answers import RIGHT
from tests.checks.test_module_answers import output_alone

SEED = 11


Path = tuple[str | int, ...]


def right_observations(exercise: Exercise) -> Observations:
    probe = exercise.probe
    if isinstance(probe, FunctionProbe):
        return observe(exercise, probe.reference, SEED)
    module = answer() if probe.contract.weights else output_alone(answer())  # type: ignore[attr-defined]
    return observe(exercise, module, SEED)


def parts_of(held: Any) -> dict[str | int, Any]:
    """Take a record, a dictionary or a tuple apart; anything else has no parts."""
    if is_dataclass(held):
        return {each.name: getattr(held, each.name) for each in fields(held)}
    return dict(held) if isinstance(held, dict) else dict(enumerate(held))


def paths(held: Any, begin: Path = ()) -> Iterator[tuple[Path, Any]]:
    """List every tensor, text and number of observations, and where it stands."""
    if is_dataclass(held) or isinstance(held, dict | tuple):
        for name, part in parts_of(held).items():
            yield from paths(part, (*begin, name))
    elif held is not None:
        yield begin, held


def changed(held: Any, path: Path, value: Any) -> Any:
    """Return a copy of observations with another value where a path leads."""
    if not path:
        return value
    name, *rest = path
    part = changed(parts_of(held)[name], tuple(rest), value)
    if is_dataclass(held):
        return replace(held, **{str(name): part})  # type: ignore[type-var]
    if isinstance(held, dict):
        return {**held, name: part}
    return tuple(part if index == name else item for index, item in enumerate(held))


def all_changed(held: Any, value: Any) -> Any:
    """Return a copy of observations in which every value is this one."""
    if is_dataclass(held):
        parts = {str(n): all_changed(part, value) for n, part in parts_of(held).items()}
        return replace(held, **parts)  # type: ignore[type-var]
    if isinstance(held, dict):
        return {name: all_changed(part, value) for name, part in held.items()}
    return tuple(all_changed(item, value) for item in held) if isinstance(held, tuple) else value


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
    (99999999, 99999999),
    (1,) * 9,
    (2**70, -1),
    Raised("raised"),
    Other("NoneType"),
]


# Observed to be shown, to name a mistake, or for one question about the weights or the output.
UNASKED = re.compile(
    r"small\.|gradients\.|step\.|cut|graph\.used|registered\.(names|shapes)|dropout\.calls\..*weights"
    r"|large\.calls\.(single\.weights|(loud|triple)\.output)"
)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_right_observations_pass_and_no_single_one_can_be_left_out(exercise: Exercise) -> None:
    observed = right_observations(exercise)
    assert judge(exercise, observed, SEED).passed
    for path, value in paths(observed):
        # The small trial is for showing: the large one holds the same and more.
        if UNASKED.match(".".join(map(str, path))) is None:
            nothing = -1 if type(value) is int and path[0] in ("registered", "graph") else None
            left = changed(observed, path, nothing)
            assert not judge(exercise, left, SEED).passed, path


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_forged_observations_raise_nothing_and_score_nothing(exercise: Exercise) -> None:
    observed = right_observations(exercise)
    chosen = random.Random(3)
    known = list(paths(observed))
    for path, _ in chosen.sample(known, min(20, len(known))):
        report = judge(exercise, changed(observed, path, chosen.choice(WRONG)), SEED)
        assert report.status in ("passed", "failed", "crashed", "missing")
        str(report)
    for value in WRONG:
        report = judge(exercise, all_changed(observed, value), SEED)
        assert not report.passed
        assert report.points == 0
    passed = FunctionObservations({"passed": CaseOutcome(True)})
    empty = (ModuleObservations(), FunctionObservations(), passed, NoAnswer(), WrongKind("x"))
    for forged in empty:
        assert not judge(exercise, forged, SEED).passed


@pytest.mark.parametrize("species", ["shared_layer", "split_before_projection", "plain_list"])
def test_no_forged_count_keeps_the_judge_busy(species: str) -> None:
    exercise = EXERCISES["registration_bug.repair"]
    observed = observe(exercise, output_alone(answer(*SWAPS[species][0])), SEED)
    for path, value in paths(observed):
        if type(value) is int:
            with time_limit(10):
                assert not judge(exercise, changed(observed, path, 10**12), SEED).passed
    many = Registered(("a",) * 5000, ((10**6, 10**6),) * 5000, 10**12, 10**12)
    with time_limit(10):
        assert not judge(exercise, replace(observed, registered=many), SEED).passed  # type: ignore[arg-type]


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_observations_of_another_seed_do_not_pass(exercise: Exercise) -> None:
    observed = right_observations(exercise)
    if any(isinstance(value, Tensor) for _, value in paths(observed)):
        assert not judge(exercise, observed, SEED + 1).passed


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_observations_are_frozen_and_of_their_kinds(exercise: Exercise) -> None:
    observed = right_observations(exercise)
    for _, value in paths(observed):
        assert isinstance(value, Tensor | str | bool | int | float)
        assert not (isinstance(value, Tensor) and value.requires_grad)
    for name in parts_of(observed):
        with pytest.raises(FrozenInstanceError):
            setattr(observed, str(name), None)


@pytest.mark.parametrize("forged", [3, [], None, {3: 4}, {"small": object()}, Raised("x")])
def test_what_is_no_observation_fails(forged: Any) -> None:
    for exercise in EXERCISES.values():
        assert not judge(exercise, forged, SEED).passed


def test_wrong_outputs_anywhere_are_seen() -> None:
    exercise = EXERCISES["split_heads.module"]
    observed = observe(exercise, RIGHT[0], SEED)
    for path, value in paths(observed):
        if isinstance(value, Tensor) and path[0] in ("large", "small"):
            moved = value.clone()
            moved.view(-1)[-1] += 0.01
            report = judge(exercise, changed(observed, path, moved), SEED)
            unseen = path[0] == "small" or path[2:] == ("blind", "output")
            unseen = unseen or path[2] in ("loud", "single", "triple")
            assert unseen or not report.passed, path
