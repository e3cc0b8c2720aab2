"""Exercises that ask for a function: tried on a few small inputs, compared with a reference."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.compare import (
    Difference,
    first_difference,
    paired,
    restored,
    same,
    same_by_name,
    same_gradients,
    same_or_raise_alike,
    same_outcome,
    same_values,
    shown,
    shown_both,
    worst,
)
from cleanformer_lite.checks.engine.sentences import SENTENCES
from cleanformer_lite.checks.engine.stages import stage_of
from cleanformer_lite.checks.observations import (
    CaseOutcome,
    FunctionObservations,
    Listed,
    Named,
    NoAnswer,
    Observations,
    Other,
    Value,
    WrongKind,
    attempt,
    recorded,
)
from cleanformer_lite.checks.report import Counterexample, Report
from cleanformer_lite.checks.session import seeded, torch_kept

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One input, made from a seed, and the property that fails if the result is wrong on it."""

    name: str
    fails: str
    make: Callable[[torch.Generator], Arguments]
    gradient: bool = False


def observe_case(case: Case, function: Callable[..., Any], seed: int) -> CaseOutcome:
    """Call once for values, and once more for gradients if the case asks for them."""
    return with_gradients(observe_values(case, function, seed), case, function, seed)


def observe_values(case: Case, function: Callable[..., Any], seed: int) -> CaseOutcome:
    """Record what a call returns, and its arguments afterwards."""
    arguments = case.make(torch.Generator().manual_seed(seed))
    with seeded(seed), torch_kept():  # the same draws; and the next case is made as this one is
        result, error = attempt(lambda: recorded(function(*arguments.values())))
    if error is not None:
        return CaseOutcome(error=error)
    return CaseOutcome(result, after={name: recorded(x) for name, x in tensors_of(arguments)})


def with_gradients(
    outcome: CaseOutcome, case: Case, function: Callable[..., Any], seed: int
) -> CaseOutcome:
    """Add the gradients if the case asks for them and the first call did not raise."""
    if not case.gradient or outcome.error is not None:
        return outcome
    gradients, error = attempt(lambda: observe_gradients(case, function, seed))
    return replace(outcome, gradients=gradients or {}, gradient_error=error)


def observe_gradients(case: Case, function: Callable[..., Any], seed: int) -> dict[str, Value]:
    """Return the gradients of a weighted sum of the first result."""
    arguments = case.make(torch.Generator().manual_seed(seed))
    leaves = {
        name: value.requires_grad_()
        for name, value in tensors_of(arguments)
        if value.is_floating_point()
    }
    with torch_kept():
        result = function(*arguments.values())
    first = result[0] if isinstance(result, tuple | list) else result
    loss = torch.sum(first.float() * torch.linspace(1, 2, first.numel()).view(first.shape))
    torch.autograd.backward(loss)
    return {
        name: recorded(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)
        for name, leaf in leaves.items()
    }


def tensors_of(arguments: Arguments) -> list[tuple[str, Tensor]]:
    """List the tensors among the arguments, and those in lists."""
    found: list[tuple[str, Tensor]] = []
    for name, value in arguments.items():
        if isinstance(value, list):
            found += [(f"{name}{index}", item) for index, item in enumerate(value)]
        elif isinstance(value, Tensor):
            found.append((name, value))
    return found


def does_the_same(
    observed: FunctionObservations, wrong: Callable[..., Any], cases: list[Case], seed: int,
    failing: int,
) -> bool:  # fmt: skip
    """Run a mistake case by case, until it differs from the answer.

    Values come first: most mistakes differ there, and gradients take as long again. The `failing`
    cases lead; if one of them shows wrong values, errors need only agree in their kind.
    """
    shows_values = any(observed.cases[case.name].error is None for case in cases[:failing])
    for case in cases:
        yours, theirs = observed.cases[case.name], observe_values(case, wrong, seed)
        if not same_or_raise_alike(yours, theirs, by_kind=shows_values):
            return False
        if not same_gradients(yours, with_gradients(theirs, case, wrong, seed)):
            return False
    return True


INPUT_UNCHANGED = "input_unchanged"
GRADIENT_LOST = "gradient_lost"


@dataclass(frozen=True)
class FunctionProbe:
    """Call a function on every case, the smallest first.

    `reference` is a right answer; `mistakes` are wrong ones by species, all with the signature of
    the entry point. `adapt` turns an answer into a function of the case's arguments where it is not
    one already.
    """

    cases: tuple[Case, ...]
    reference: Callable[..., Any]
    mistakes: dict[str, tuple[Callable[..., Any], ...]] = field(default_factory=dict)
    adapt: Callable[[Any], Callable[..., Any]] = lambda answer: answer

    @property
    def properties(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(["runs", *(case.fails for case in self.cases), INPUT_UNCHANGED]))

    def observe(self, answer: object, seed: int) -> Observations:
        if answer is None or answer is ...:
            return NoAnswer()
        if not callable(answer):
            return WrongKind(type(answer).__name__)
        return FunctionObservations(self.outcomes(self.adapt(answer), seed))

    def outcomes(self, function: Callable[..., Any], seed: int) -> dict[str, CaseOutcome]:
        """Call a function on every case."""
        with seeded(seed), torch.enable_grad():
            return {case.name: observe_case(case, function, seed) for case in self.cases}

    def judge(self, observed: Observations, seed: int) -> Report:
        if isinstance(observed, NoAnswer):
            return Report(status="missing")
        if isinstance(observed, WrongKind):
            message = f"wanted something to call, got {shown(observed.kind)}"
            return Report(status="failed", failed=("runs",), message=message)
        if not isinstance(observed, FunctionObservations):
            raise ValueError(f"wanted what a function does, got {type(observed).__name__}")
        if is_unanswered(observed.cases[self.cases[0].name]):
            return Report(status="missing")
        expected = self.outcomes(self.adapt(self.reference), seed)
        failing = [
            case
            for case in self.cases
            if not same_outcome(observed.cases[case.name], expected[case.name])
        ]
        if not failing:
            return Report(status="passed")
        failed = {
            name
            for case in failing
            for name in failures(observed.cases[case.name], expected[case.name], case)
        }
        first = failing[0]
        yours, target = observed.cases[first.name], expected[first.name]
        in_order = tuple(name for name in self.properties if name in failed)
        return Report(
            status="failed" if yours.error is None else "crashed",
            failed=in_order,
            broken=tuple(SENTENCES[name] for name in in_order),
            stage=stage_of(observed.cases, expected),
            species=self.diagnose(observed, expected, failing, seed),
            counterexample=counterexample(yours, target, first, seed),
        )

    def diagnose(
        self,
        observed: FunctionObservations,
        expected: dict[str, CaseOutcome],
        failing: list[Case],
        seed: int,
    ) -> tuple[str, ...]:
        """Name the species that do exactly the same on every case."""
        names = [case.name for case in failing]
        if all(is_changed_in_place(observed.cases[name], expected[name]) for name in names):
            return ("input_changed_in_place",)
        if GRADIENT_LOST in self.mistakes and all(
            is_cut_off(observed.cases[name], expected[name]) for name in names
        ):
            return (GRADIENT_LOST,)
        # Failing cases come first, because in the others most mistakes agree with the right answer.
        cases = failing + [case for case in self.cases if case not in failing]
        with seeded(seed), torch.enable_grad():
            found = tuple(
                species
                for species, variants in self.mistakes.items()
                if any(
                    does_the_same(observed, self.adapt(wrong), cases, seed, len(failing))
                    for wrong in variants
                )
            )
        changes = always_changes(observed.cases, expected)
        return found or (("input_changed_in_place",) if changes else ())


def is_unanswered(first: CaseOutcome) -> bool:
    """Say whether an answer is an unchanged starter, or returns None."""
    if first.error is not None:
        return first.error.is_stub
    return isinstance(first.result, Other) and first.result.is_none


def is_changed_in_place(yours: CaseOutcome, target: CaseOutcome) -> bool:
    """Say whether the result is right, but the caller's tensors have changed."""
    is_right = yours.error is None and same(yours.result, target.result)
    return is_right and not same_by_name(yours.after, target.after)


def is_cut_off(yours: CaseOutcome, target: CaseOutcome) -> bool:
    """Say whether all values are right, but a gradient is wrong or missing."""
    given = [value for value in yours.gradients.values() if isinstance(value, Tensor)]
    are_numbers = all(bool(gradient.isfinite().all()) for gradient in given)
    return same_values(yours, target) and not same_gradients(yours, target) and are_numbers


def always_changes(yours: dict[str, CaseOutcome], target: dict[str, CaseOutcome]) -> bool:
    """Say whether every call that returned changed the caller's tensors."""
    came_back = [name for name, outcome in yours.items() if outcome.error is None]
    telling = [name for name in came_back if target[name].after]
    return bool(telling) and not any(
        same_by_name(yours[name].after, target[name].after) for name in telling
    )


def failures(yours: CaseOutcome, target: CaseOutcome, case: Case) -> list[str]:
    """Name the properties that fail in a case."""
    if yours.error is not None:
        return ["runs"]
    found = []
    if not same_by_name(yours.after, target.after):
        found.append(INPUT_UNCHANGED)
    if not same(yours.result, target.result) or not same_gradients(yours, target):
        found.append(case.fails)
    return found or [case.fails]


def counterexample(
    yours: CaseOutcome, target: CaseOutcome, case: Case, seed: int
) -> Counterexample:
    """Show a failing case: its arguments, and where its result differs first."""
    arguments = case.make(torch.Generator().manual_seed(seed))
    inputs = ", ".join(f"{name} = {shown(value)}" for name, value in arguments.items())
    if yours.error is not None:
        return Counterexample(inputs, yours.error.text, shown(restored(target.result)))
    if yours.gradient_error is not None:
        error = f"backward() raises {yours.gradient_error.text}"
        return Counterexample(inputs, error, "a gradient", "gradient")
    found = first_difference(yours, target)
    if found is None:
        return Counterexample(inputs, "more than was asked for", "the result alone")
    if found.yours is None or found.where.endswith(".length"):
        is_empty = isinstance(yours.result, Listed | Named) and not yours.result.items
        came = "an empty result" if is_empty else shown(restored(yours.result))
        return Counterexample(inputs, came, shown(restored(target.result)), "result")
    return unequal_values(inputs, found)


def unequal_values(inputs: str, found: Difference) -> Counterexample:
    """Show both values; of large tensors, the number that is furthest off."""
    yours, target, what = found.yours, found.target, found.where
    if not isinstance(yours, Tensor) or not isinstance(target, Tensor):
        return Counterexample(inputs, shown(yours), shown(target), what)
    if yours.shape == target.shape and yours.numel() > 16:
        index = worst((yours.double() - target.double()).abs().nan_to_num(torch.inf))
        yours, target = yours[tuple(index)], target[tuple(index)]
        what = f"{what}{index}"
    return Counterexample(inputs, *shown_both(yours, target), what, paired(yours, target))
