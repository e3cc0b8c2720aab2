"""Exercises that ask for a function: tried on a few small inputs, compared with a plain one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.facts import agree, attempt, below, record, same, seeded, shown
from cleanformer_lite.checks.report import Counterexample, Verdict

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One input, made from a seed, and the property that fails if the result is not right on it."""

    name: str
    fails: str
    make: Callable[[torch.Generator], Arguments]
    gradient: bool = False


@dataclass(frozen=True)
class FunctionProbe:
    """Calls a function on every case; cases stand smallest first.

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
        facts: Observations = {}
        if answer is None or answer is ...:
            return {"missing": True}
        if not callable(answer):
            return {"kind": type(answer).__name__}
        function = self.adapt(answer)
        with seeded(seed), torch.enable_grad():
            for case in self.cases:
                observe_case(facts, case, function, seed)
        return facts

    def judge(self, facts: Observations, seed: int) -> Verdict:
        early = unanswered(facts, self.cases[0].name)
        if early is not None:
            return early
        expected = self.observe(self.reference, seed)
        failing = [case for case in self.cases if not right(facts, expected, case)]
        if not failing:
            return Verdict("passed")
        failed = {name for case in failing for name in failures(facts, expected, case)}
        first = failing[0]
        crashed = f"{first.name}.error" in facts
        return Verdict(
            "crashed" if crashed else "failed",
            tuple(name for name in self.properties if name in failed),
            self.diagnose(facts, failing, seed),
            counterexample(facts, expected, first, seed),
        )

    def diagnose(self, facts: Observations, failing: list[Case], seed: int) -> tuple[str, ...]:
        """Name the species that do exactly the same on every case."""
        # Those that fail come first: in the others most mistakes are like the right answer.
        cases = failing + [case for case in self.cases if case not in failing]
        with seeded(seed), torch.enable_grad():
            return tuple(
                species
                for species, variants in self.mistakes.items()
                if any(does_the_same(facts, wrong, cases, self.adapt, seed) for wrong in variants)
            )


INPUT_UNCHANGED = "input_unchanged"


def observe_case(facts: Observations, case: Case, function: Callable[..., Any], seed: int) -> None:
    """Call once without gradients for values, and once more for gradients where they are asked."""
    arguments = case.make(torch.Generator().manual_seed(seed))
    result = attempt(facts, case.name, lambda: function(*arguments.values()))
    if f"{case.name}.error" in facts:
        return
    record(facts, f"{case.name}.result", result)
    for name, value in arguments.items():
        if isinstance(value, Tensor):
            record(facts, f"{case.name}.after.{name}", value)
    if case.gradient:
        attempt(
            facts, f"{case.name}.gradient", lambda: observe_gradient(facts, case, function, seed)
        )


def observe_gradient(
    facts: Observations, case: Case, function: Callable[..., Any], seed: int
) -> None:
    """Write down the gradients of a weighted sum of the first result."""
    arguments = case.make(torch.Generator().manual_seed(seed))
    leaves = {
        name: value.requires_grad_()
        for name, value in arguments.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    result = function(*arguments.values())
    first = result[0] if isinstance(result, tuple) else result
    loss = torch.sum(first.float() * torch.linspace(1, 2, first.numel()).view(first.shape))
    torch.autograd.backward(loss)
    for name, leaf in leaves.items():
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        record(facts, f"{case.name}.gradient.{name}", gradient)


def unanswered(facts: Observations, first: str) -> Verdict | None:
    """Tell an empty answer from a wrong one."""
    if facts.get("missing") is True:
        return Verdict("missing")
    if "kind" in facts:
        message = f"wanted something to call, got {shown(facts['kind'])}"
        return Verdict("failed", ("runs",), message=message)
    error = facts.get(f"{first}.error")
    stub = isinstance(error, str) and error.startswith("NotImplementedError")
    if stub or facts.get(f"{first}.result.none") is True:
        return Verdict("missing")
    return None


def right(facts: Observations, expected: Observations, case: Case) -> bool:
    """Say whether a case went as it should."""
    return agree(facts, expected, case.name)


def failures(facts: Observations, expected: Observations, case: Case) -> list[str]:
    """Name the properties that a case shows to fail."""
    if f"{case.name}.error" in facts:
        return ["runs"]
    found = []
    if not agree(facts, expected, f"{case.name}.after"):
        found.append(INPUT_UNCHANGED)
    keys = (f"{case.name}.result", f"{case.name}.gradient")
    if not all(agree(facts, expected, key) for key in keys):
        found.append(case.fails)
    return found or [case.fails]


def does_the_same(
    facts: Observations,
    wrong: Callable[..., Any],
    cases: list[Case],
    adapt: Callable[[Any], Callable[..., Any]],
    seed: int,
) -> bool:
    """Try a mistake on one case after the other, until it does something else than the answer."""
    function = adapt(wrong)
    for case in cases:
        theirs: Observations = {}
        observe_case(theirs, case, function, seed)
        if not agree_or_raise_alike(facts, theirs, case.name):
            return False
    return True


def agree_or_raise_alike(facts: Observations, theirs: Observations, key: str) -> bool:
    """Say whether two answers do the same on a case; of an error only the beginning must agree."""
    ours_error, their_error = facts.get(f"{key}.error"), theirs.get(f"{key}.error")
    if isinstance(ours_error, str) and isinstance(their_error, str):
        return ours_error[:40] == their_error[:40]
    return agree(facts, theirs, key)


def counterexample(
    facts: Observations, expected: Observations, case: Case, seed: int
) -> Counterexample:
    """Show a failing case: its arguments and the first part of the result that is off."""
    arguments = case.make(torch.Generator().manual_seed(seed))
    inputs = ", ".join(f"{name} = {shown(value)}" for name, value in arguments.items())
    if f"{case.name}.error" in facts:
        wanted = below(expected, f"{case.name}.result")
        target = ", ".join(shown(value) for value in wanted.values())
        return Counterexample(inputs, str(facts[f"{case.name}.error"]), target)
    theirs = below(expected, case.name)
    for key, value in theirs.items():
        if not same(facts.get(key), value):
            yours = shown(facts[key]) if key in facts else "nothing"
            return Counterexample(inputs, yours, shown(value), key.partition(".")[2])
    return Counterexample(inputs, "more than was asked", "the result alone")
