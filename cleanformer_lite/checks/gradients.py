"""Follow gradients through a module: what is used, what learns, what moves the map of a head."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.facts import attempt, record
from cleanformer_lite.checks.probes import LARGE, MOST_PARAMETERS, Contract, tokens

# A module's parameters, listed once: to ask a module of many layers takes as long as to call it.
Weights = list[nn.Parameter]


def observe_result(
    facts: Observations,
    name: str,
    weights: Weights,
    contract: Contract,
    results: dict[str, object],
) -> None:
    """Write down what the graph of a call's result says; `results` holds this and earlier ones."""
    result = results[name]
    if name == "plain" and contract.weights:
        attempt(facts, "one_head", lambda: observe_one_head(facts, weights, result))
    if name == "again":
        attempt(facts, "graph", lambda: observe_graph(facts, weights, results["plain"], result))
    if name == "blind":
        attempt(facts, "blind_gradient", lambda: observe_blind(facts, weights, result))


def observe(facts: Observations, module: nn.Module, weights: Weights, seed: int) -> None:
    """Write down what needs calls of its own: gradients to read projections from, and a step."""
    attempt(facts, "reading", lambda: observe_reading(facts, module, weights, seed))
    attempt(facts, "step", lambda: observe_step(facts, module, weights, seed))


def output_of(result: Any) -> Tensor:
    """Return the output alone, as a tensor.

    Raises: TypeError if there is none.
    """
    output = result[0] if isinstance(result, tuple) else result
    if not isinstance(output, Tensor):
        raise TypeError(f"wanted a tensor, got {type(output).__name__}")
    return output


def leaves(output: Tensor) -> Iterator[Tensor]:
    """Find every tensor with gradients that an output was computed from."""
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            yield variable
        waiting.extend(following for following, _ in node.next_functions)


def observe_graph(facts: Observations, weights: Weights, plain: object, again: object) -> None:
    """Count the weights that are used but not registered, and those that are new in every call."""
    first, second = (list(leaves(output_of(result))) for result in (plain, again))
    known = {id(parameter) for parameter in weights}
    before = {id(leaf) for leaf in first}
    facts["used"] = len(first)
    facts["unregistered"] = sum(id(leaf) not in known for leaf in first)
    facts["fresh"] = sum(id(leaf) not in before for leaf in second)


def reading_inputs(seed: int) -> tuple[Tensor, Tensor]:
    """Make the two inputs from whose gradients the projections can be told apart.

    Feature 0 is zero everywhere, so that weights on it get no gradient. Feature 2 is one
    everywhere, so that weights on it get the gradient of the bias.
    """
    x = 0.3 * tokens(LARGE, seed + 2)[:, :2]  # small: a saturated softmax has no gradient
    x[..., 0] = 0.0
    x[..., 2] = 1.0
    return x[:1, :1], x


def observe_reading(facts: Observations, module: nn.Module, weights: Weights, seed: int) -> None:
    """Write down gradients for one token (nothing reaches query and key) and for two times two.

    The quiet ones leave output feature 1 out, so that weights which only feed that get no gradient.
    """
    one, four = reading_inputs(seed)
    output = output_of(module(one))
    quiet = output[..., [0, *range(2, output.shape[-1])]]
    record_gradients(facts, "gradient.one", weights, towards(output), keep=True)
    record_gradients(facts, "gradient.quiet", weights, towards(quiet))
    record_gradients(facts, "gradient.four", weights, towards(output_of(module(four))))


def towards(output: Tensor) -> Tensor:
    """Sum up the outputs, each by another factor."""
    return torch.sum(output * torch.linspace(0.7, 1.9, output.numel()).view(output.shape))


def record_gradients(
    facts: Observations, key: str, weights: Weights, loss: Tensor, keep: bool = False
) -> None:
    """Write down the gradient of each registered parameter; none is written where there is none.

    `keep` leaves the graph whole for another loss.
    """
    some = enumerate(weights[:MOST_PARAMETERS])
    wanted = {index: parameter for index, parameter in some if parameter.requires_grad}
    gradients = torch.autograd.grad(
        loss, list(wanted.values()), allow_unused=True, retain_graph=keep
    )
    for index, gradient in zip(wanted, gradients, strict=True):
        if gradient is not None:
            record(facts, f"{key}.{index}", gradient)


def observe_one_head(facts: Observations, weights: Weights, result: Any) -> None:
    """Write down which weights move the map of the first head."""
    first = result[1][:, 0]
    factors = torch.linspace(0.3, 1.7, first.numel()).view(first.shape)
    record_gradients(facts, "gradient.head", weights, torch.sum(first * factors))


def observe_blind(facts: Observations, weights: Weights, result: object) -> None:
    """Write down gradients when one query may attend to nothing."""
    record_gradients(facts, "gradient.blind", weights, torch.sum(output_of(result)))


def observe_step(facts: Observations, module: nn.Module, weights: Weights, seed: int) -> None:
    """Train for one step as a learner would, and write down which weights are new."""
    before = [parameter.detach().clone() for parameter in weights]
    module.train()
    torch.autograd.backward(towards(output_of(module(tokens(LARGE, seed).clone()))))
    with torch.no_grad():
        for index, parameter in enumerate(weights[:MOST_PARAMETERS]):
            if parameter.grad is not None:
                parameter.sub_(parameter.grad)
            record(facts, f"step.{index}", parameter - before[index])
    module.eval()
