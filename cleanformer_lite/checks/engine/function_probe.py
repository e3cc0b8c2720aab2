"""Exercises that ask for a function: tried on a few small inputs, compared with a plain one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.engine.observations import (
    agree,
    attempt,
    below,
    is_stub,
    paired,
    record,
    restored,
    same,
    seeded,
    shown,
    worst,
)
from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.report import Counterexample, Report

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One input, made from a seed, and the property that fails if the result is not right on it."""

    name: str
    fails: str
    make: Callable[[torch.Generator], Arguments]
    gradient: bool = False


def observe_case(
    observed: Observations, case: Case, function: Callable[..., Any], seed: int
) -> None:
    """Call once without gradients for values, and once more for gradients where they are asked."""
    observe_values(observed, case, function, seed)
    observe_gradients(observed, case, function, seed)


def observe_values(
    observed: Observations, case: Case, function: Callable[..., Any], seed: int
) -> None:
    """Write down what a call returns, and what it leaves of its arguments."""
    arguments = case.make(torch.Generator().manual_seed(seed))

    def make() -> None:
        with seeded(seed):  # whatever was drawn before
            result = function(*arguments.values())
        record(observed, f"{case.name}.result", result)

    attempt(observed, case.name, make)
    if f"{case.name}.error" in observed:
        return
    for name, value in tensors_of(arguments):
        record(observed, f"{case.name}.after.{name}", value)


def observe_gradients(
    observed: Observations, case: Case, function: Callable[..., Any], seed: int
) -> None:
    """Write down the gradients where they are asked for and the first call did not raise."""
    if case.gradient and f"{case.name}.error" not in observed:
        attempt(
            observed,
            f"{case.name}.gradient",
            lambda: observe_gradient(observed, case, function, seed),
        )


def observe_gradient(
    observed: Observations, case: Case, function: Callable[..., Any], seed: int
) -> None:
    """Write down the gradients of a weighted sum of the first result."""
    arguments = case.make(torch.Generator().manual_seed(seed))
    leaves = {
        name: value.requires_grad_()
        for name, value in tensors_of(arguments)
        if value.is_floating_point()
    }
    result = function(*arguments.values())
    first = result[0] if isinstance(result, tuple | list) else result
    loss = torch.sum(first.float() * torch.linspace(1, 2, first.numel()).view(first.shape))
    torch.autograd.backward(loss)
    for name, leaf in leaves.items():
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        record(observed, f"{case.name}.gradient.{name}", gradient)


def tensors_of(arguments: Arguments) -> list[tuple[str, Tensor]]:
    """List the tensors among the arguments, those of lists as well."""
    found: list[tuple[str, Tensor]] = []
    for name, value in arguments.items():
        if isinstance(value, list):
            found += [(f"{name}{index}", item) for index, item in enumerate(value)]
        elif isinstance(value, Tensor):
            found.append((name, value))
    return found


def does_the_same(
    observed: Observations, wrong: Callable[..., Any], cases: list[Case], seed: int, failing: int
) -> bool:
    """Try a mistake on one case after the other, until it does something else than the answer.

    Values come first: most mistakes differ there, and gradients take as long again. The first cases
    are the `failing` ones.
    """
    wrong_values = any(f"{case.name}.error" not in observed for case in cases[:failing])
    for case in cases:
        theirs: Observations = {}
        gradient = f"{case.name}.gradient"
        values = {key: fact for key, fact in observed.items() if not key.startswith(gradient)}
        observe_values(theirs, case, wrong, seed)
        if not agree_or_raise_alike(values, theirs, case.name, wrong_values):
            return False
        observe_gradients(theirs, case, wrong, seed)
        if not agree(observed, theirs, gradient):
            return False
    return True


def agree_or_raise_alike(
    observed: Observations, theirs: Observations, key: str, kind_alone: bool
) -> bool:
    """Say whether two answers do the same on a case; of an error only the beginning must agree.

    `kind_alone` asks for the kind of the error alone, where values have shown what is done.
    """
    ours_error, their_error = observed.get(f"{key}.error"), theirs.get(f"{key}.error")
    if isinstance(ours_error, str) and isinstance(their_error, str):
        length = ours_error.index(":") if ":" in ours_error and kind_alone else 40
        return ours_error[:length] == their_error[:length]
    return agree(observed, theirs, key)


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
        observed: Observations = {}
        if answer is None or answer is ...:
            return {"missing": True}
        if not callable(answer):
            return {"kind": type(answer).__name__}
        function = self.adapt(answer)
        with seeded(seed), torch.enable_grad():
            for case in self.cases:
                observe_case(observed, case, function, seed)
        return observed

    def judge(self, observed: Observations, seed: int) -> Report:
        early = unanswered(observed, self.cases[0].name)
        if early is not None:
            return early
        expected = self.observe(self.reference, seed)
        failing = [case for case in self.cases if not right(observed, expected, case)]
        if not failing:
            return Report(status="passed")
        failed = {name for case in failing for name in failures(observed, expected, case)}
        first = failing[0]
        crashed = f"{first.name}.error" in observed
        return Report(
            status="crashed" if crashed else "failed",
            failed=tuple(name for name in self.properties if name in failed),
            species=self.diagnose(observed, failing, seed),
            counterexample=counterexample(observed, expected, first, seed),
        )

    def is_changed_in_place(self, observed: Observations, failing: list[Case], seed: int) -> bool:
        """Say whether every result is right, and the caller's tensors are other ones afterwards."""
        expected = self.observe(self.reference, seed)
        return all(
            agree(observed, expected, f"{case.name}.result")
            and not agree(observed, expected, f"{case.name}.after")
            for case in failing
        )

    def is_changed(self, observed: Observations, seed: int) -> bool:
        """Say whether the caller's tensors are other ones after every call that came back."""
        expected = self.observe(self.reference, seed)
        back = [case.name for case in self.cases if f"{case.name}.error" not in observed]
        with_tensors = [name for name in back if below(expected, f"{name}.after")]
        return bool(with_tensors) and not any(
            agree(observed, expected, f"{name}.after") for name in with_tensors
        )

    def diagnose(self, observed: Observations, failing: list[Case], seed: int) -> tuple[str, ...]:
        """Name the species that do exactly the same on every case."""
        if self.is_changed_in_place(observed, failing, seed):
            return ("input_changed_in_place",)
        # Those that fail come first: in the others most mistakes are like the right answer.
        cases = failing + [case for case in self.cases if case not in failing]
        with seeded(seed), torch.enable_grad():
            found = tuple(
                species
                for species, variants in self.mistakes.items()
                if any(
                    does_the_same(observed, self.adapt(w), cases, seed, len(failing))
                    for w in variants
                )
            )
        return found or (("input_changed_in_place",) if self.is_changed(observed, seed) else ())


def unanswered(observed: Observations, first: str) -> Report | None:
    """Tell an empty answer from a wrong one."""
    if observed.get("missing") is True:
        return Report(status="missing")
    if "kind" in observed:
        message = f"wanted something to call, got {shown(observed['kind'])}"
        return Report(status="failed", failed=("runs",), message=message)
    error = observed.get(f"{first}.error")
    if is_stub(error) or observed.get(f"{first}.result.none") is True:
        return Report(status="missing")
    return None


def right(observed: Observations, expected: Observations, case: Case) -> bool:
    """Say whether a case went as it should."""
    return agree(observed, expected, case.name)


def failures(observed: Observations, expected: Observations, case: Case) -> list[str]:
    """Name the properties that a case shows to fail."""
    if f"{case.name}.error" in observed:
        return ["runs"]
    found = []
    if not agree(observed, expected, f"{case.name}.after"):
        found.append(INPUT_UNCHANGED)
    keys = (f"{case.name}.result", f"{case.name}.gradient")
    if not all(agree(observed, expected, key) for key in keys):
        found.append(case.fails)
    return found or [case.fails]


def counterexample(
    observed: Observations, expected: Observations, case: Case, seed: int
) -> Counterexample:
    """Show a failing case: its arguments and the first part of the result that is off."""
    arguments = case.make(torch.Generator().manual_seed(seed))
    inputs = ", ".join(f"{name} = {written(value)}" for name, value in arguments.items())
    if f"{case.name}.error" in observed:
        target = shown(restored(expected, f"{case.name}.result"))
        return Counterexample(inputs, str(observed[f"{case.name}.error"]), target)
    error = observed.get(f"{case.name}.gradient.error")
    if isinstance(error, str):
        return Counterexample(inputs, f"backward() raises {error}", "a gradient", "gradient")
    for key, value in below(expected, case.name).items():
        if not same(observed.get(key), value):
            what = key.partition(".")[2]
            if key not in observed or key.endswith(".length"):
                target = shown(restored(expected, f"{case.name}.result"))
                return Counterexample(inputs, what_came(observed, case.name), target, "result")
            return unequal_values(inputs, what, observed[key], value)
    return Counterexample(inputs, "more than was asked", "the result alone")


def written(value: object) -> str:
    """Write an argument; a module that says what it holds, says it here."""
    says_more = isinstance(value, nn.Module) and type(value).__repr__ is not nn.Module.__repr__
    return repr(value) if says_more else shown(value)


def what_came(observed: Observations, name: str) -> str:
    """Say what an answer returned where it is of another kind than was asked for."""
    kind = observed.get(f"{name}.result.kind")
    if kind is not None:
        return f"an object of type {kind}"
    came = restored(observed, f"{name}.result")
    return "an empty result" if came in ((), {}) else shown(came)


def unequal_values(inputs: str, what: str, yours: object, target: object) -> Counterexample:
    """Show both values; of large tensors of one shape the number that is furthest off."""
    if not isinstance(yours, Tensor) or not isinstance(target, Tensor):
        return Counterexample(inputs, shown(yours), shown(target), what)
    if yours.shape == target.shape and yours.numel() > 16:
        place = worst((yours.double() - target.double()).abs().nan_to_num(torch.inf))
        yours, target = yours[tuple(place)], target[tuple(place)]
        what = f"{what}{place}"
    return Counterexample(inputs, shown(yours), shown(target), what, paired(yours, target))
