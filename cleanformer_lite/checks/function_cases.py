"""One input for a function: make it, call, and write down what comes back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.facts import agree, attempt, record

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One input, made from a seed, and the property that fails if the result is not right on it."""

    name: str
    fails: str
    make: Callable[[torch.Generator], Arguments]
    gradient: bool = False


def observe_case(facts: Observations, case: Case, function: Callable[..., Any], seed: int) -> None:
    """Call once without gradients for values, and once more for gradients where they are asked."""
    observe_values(facts, case, function, seed)
    observe_gradients(facts, case, function, seed)


def observe_values(
    facts: Observations, case: Case, function: Callable[..., Any], seed: int
) -> None:
    """Write down what a call returns, and what it leaves of its arguments."""
    arguments = case.make(torch.Generator().manual_seed(seed))
    result = attempt(facts, case.name, lambda: function(*arguments.values()))
    if f"{case.name}.error" in facts:
        return
    record(facts, f"{case.name}.result", result)
    for name, value in arguments.items():
        if isinstance(value, Tensor):
            record(facts, f"{case.name}.after.{name}", value)


def observe_gradients(
    facts: Observations, case: Case, function: Callable[..., Any], seed: int
) -> None:
    """Write down the gradients where they are asked for and the first call did not raise."""
    if case.gradient and f"{case.name}.error" not in facts:
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


def does_the_same(
    facts: Observations, wrong: Callable[..., Any], cases: list[Case], seed: int
) -> bool:
    """Try a mistake on one case after the other, until it does something else than the answer.

    Values come first: most mistakes differ there, and gradients take as long again.
    """
    for case in cases:
        theirs: Observations = {}
        gradient = f"{case.name}.gradient"
        values = {key: fact for key, fact in facts.items() if not key.startswith(gradient)}
        observe_values(theirs, case, wrong, seed)
        if not agree_or_raise_alike(values, theirs, case.name):
            return False
        observe_gradients(theirs, case, wrong, seed)
        if not agree(facts, theirs, gradient):
            return False
    return True


def agree_or_raise_alike(facts: Observations, theirs: Observations, key: str) -> bool:
    """Say whether two answers do the same on a case; of an error only the beginning must agree."""
    ours_error, their_error = facts.get(f"{key}.error"), theirs.get(f"{key}.error")
    if isinstance(ours_error, str) and isinstance(their_error, str):
        return ours_error[:40] == their_error[:40]
    return agree(facts, theirs, key)
