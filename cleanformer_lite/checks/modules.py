"""Try a module: build it, call it on everything, and write down what comes back."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks import gradients
from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.facts import attempt, record, seeded
from cleanformer_lite.checks.probes import (
    LARGE,
    MOST_PARAMETERS,
    TRIALS,
    Call,
    Contract,
    Sizes,
    calls,
    tokens,
    weight_values,
)

Build = Callable[..., Any]


def observe_module(build: Build, contract: Contract, seed: int) -> Observations:
    """Collect the facts about one module, with weights that follow from the seed."""
    facts: Observations = {}
    with seeded(seed), torch.enable_grad():
        for label, sizes in TRIALS.items():
            module = built(facts, f"{label}.build", build, sizes, seed)
            if module is None or not observe_calls(facts, label, module, contract, seed):
                return facts
            if sizes == LARGE:
                observe_parameters(facts, module)
                gradients.observe(facts, module, list(module.parameters()), seed)
        if contract.dropout:
            attempt(facts, "dropout", lambda: observe_dropout(facts, build, seed))
    return facts


def built(
    facts: Observations, key: str, build: Build, sizes: Sizes, seed: int, **options: Any
) -> nn.Module | None:
    """Build a module in evaluation mode with weights that the judge knows, or say what came."""
    module = attempt(facts, key, lambda: build(sizes.embed_dim, sizes.num_heads, **options))
    if not isinstance(module, nn.Module):
        facts.setdefault(f"{key}.kind", type(module).__name__)
        return None
    attempt(facts, f"{key}.load", lambda: fill(module, sizes, seed))
    return module.eval()


@torch.no_grad()
def fill(module: nn.Module, sizes: Sizes, seed: int) -> None:
    """Give every parameter values that follow from the seed and its place."""
    for index, parameter in enumerate(module.parameters()):
        parameter.copy_(weight_values(sizes, seed, index, parameter.shape))


def observe_calls(
    facts: Observations, label: str, module: nn.Module, contract: Contract, seed: int
) -> bool:
    """Make every call of a trial, and say whether the plain one went well.

    What concerns gradients of a call is asked at once: a later call may change what the module
    remembers of this one.
    """
    results: dict[str, object] = {}
    weights = list(module.parameters())
    for name, call in calls(TRIALS[label], contract, seed).items():
        result = observe_call(facts, f"{label}.{name}", module, call)
        if label == "large":
            results[name] = result
            gradients.observe_result(facts, name, weights, contract, results)
    return f"{label}.plain.error" not in facts


def observe_call(facts: Observations, key: str, module: nn.Module, call: Call) -> object:
    """Write down what one call returns, and whether it left its input alone; return it as well."""
    x = call.x.clone()
    result = attempt(facts, key, lambda: module(x, **call.arguments()))
    if f"{key}.error" in facts:
        return None
    if isinstance(result, tuple) and len(result) == 2:
        record(facts, f"{key}.output", result[0])
        record(facts, f"{key}.weights", result[1])
    else:
        record(facts, f"{key}.output", result)
    if not torch.equal(x.detach(), call.x):
        record(facts, f"{key}.input", x)
    return result


def observe_parameters(facts: Observations, module: nn.Module) -> None:
    """Write down names and shapes of what the module has registered."""
    named = list(module.named_parameters())[:MOST_PARAMETERS]
    facts["parameters"] = len(named)
    facts["numbers"] = sum(parameter.numel() for _, parameter in named)
    facts["saved"] = sum(
        value.numel() for value in module.state_dict().values() if isinstance(value, Tensor)
    )
    for index, (name, parameter) in enumerate(named):
        facts[f"shape.{index}"] = ",".join(map(str, parameter.shape))
        facts[f"name.{index}"] = name[:80]


def observe_dropout(facts: Observations, build: Build, seed: int) -> None:
    """Call a module with dropout 0.5 in both modes."""
    module = built(facts, "dropout.build", build, LARGE, seed, dropout=0.5)
    if module is None:
        return
    call = Call(tokens(LARGE, seed))
    observe_call(facts, "dropout.first", module, call)
    observe_call(facts, "dropout.second", module, call)
    observe_call(facts, "dropout.training", module.train(), call)
