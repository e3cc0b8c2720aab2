"""Exercises that ask for a function: tried on a few small inputs, compared with a plain one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.facts import agree, below, same, seeded, shown
from cleanformer_lite.checks.function_cases import Arguments, Case, does_the_same, observe_case
from cleanformer_lite.checks.report import Counterexample, Verdict

__all__ = ["Arguments", "Case", "FunctionProbe"]
INPUT_UNCHANGED = "input_unchanged"


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
                if any(does_the_same(facts, self.adapt(w), cases, seed) for w in variants)
            )


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
