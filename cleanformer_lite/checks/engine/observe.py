"""Try a module: build it, call it, follow its gradients, and write down what comes back."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from cleanformer_lite.checks.engine.observations import attempt, record, seeded
from cleanformer_lite.checks.engine.trials import (
    DROPOUT,
    LARGE,
    MOST_PARAMETERS,
    TRIALS,
    Call,
    Contract,
    Sizes,
    alike_tokens,
    calls,
    tokens,
    weight_values,
)
from cleanformer_lite.checks.exercise import Observations

Build = Callable[..., Any]


def observe_module(build: Build, contract: Contract, seed: int) -> Observations:
    """Collect what can be seen of one module, with weights that follow from the seed."""
    observed: Observations = {}
    # What goes wrong in an answer's own `parameters` or `state_dict` goes wrong when it is used.
    attempt(observed, "small.plain", lambda: _observe(observed, build, contract, seed))
    return observed


def _observe(observed: Observations, build: Build, contract: Contract, seed: int) -> None:
    """Build and call a small and a large module, and follow the gradients of the large one."""
    with seeded(seed), torch.enable_grad():
        for label, sizes in TRIALS.items():
            module = built(observed, f"{label}.build", build, sizes, seed)
            if module is None or not observe_calls(observed, label, module, contract, seed):
                return
            if sizes == LARGE:
                observe_parameters(observed, module)
                observe_learning(observed, module, list(module.parameters()), seed)
        if contract.dropout:
            attempt(observed, "dropout", lambda: observe_dropout(observed, build, seed))


def built(
    observed: Observations, key: str, build: Build, sizes: Sizes, seed: int, **options: Any
) -> nn.Module | None:
    """Build a module in evaluation mode with weights that the judge knows, or say what came."""
    module = attempt(observed, key, lambda: build(sizes.embed_dim, sizes.num_heads, **options))
    if not isinstance(module, nn.Module):
        observed.setdefault(f"{key}.kind", type(module).__name__)
        return None
    attempt(observed, key, module.eval)
    if any(isinstance(parameter, UninitializedParameter) for parameter in module.parameters()):
        attempt(observed, key, lambda: module(tokens(sizes, seed).clone()))
    attempt(observed, f"{key}.load", lambda: fill(module, sizes, seed))
    return None if f"{key}.error" in observed else module


@torch.no_grad()
def fill(module: nn.Module, sizes: Sizes, seed: int) -> None:
    """Give every parameter values that follow from the seed and its place."""
    for index, parameter in enumerate(module.parameters()):
        parameter.copy_(weight_values(sizes, seed, index, parameter.shape))


def observe_calls(
    observed: Observations, label: str, module: nn.Module, contract: Contract, seed: int
) -> bool:
    """Make every call of a trial, and say whether the plain one went well.

    What concerns gradients of a call is asked at once: a later call may change what the module
    remembers of this one.
    """
    results: dict[str, object] = {}
    weights = list(module.parameters())
    for name, call in calls(TRIALS[label], contract, seed).items():
        result = observe_call(observed, f"{label}.{name}", module, call, contract.weights)
        if label == "large":
            results[name] = result
            observe_result(observed, name, weights, contract, results)
    return f"{label}.plain.error" not in observed


def observe_call(
    observed: Observations, key: str, module: nn.Module, call: Call, has_weights: bool = True
) -> object:
    """Write down what one call returns, and whether it left its input alone; return it as well."""
    x = call.x.clone()

    def make() -> object:
        result = module(x, **call.arguments())
        if has_weights and isinstance(result, tuple | list) and len(result) == 2:
            record(observed, f"{key}.output", result[0])
            record(observed, f"{key}.weights", result[1])
        else:
            record(observed, f"{key}.output", result)
        if not torch.equal(x.detach(), call.x):
            record(observed, f"{key}.input", x)
        return result

    return attempt(observed, key, make)


def observe_parameters(observed: Observations, module: nn.Module) -> None:
    """Write down names and shapes of what the module has registered."""
    named = list(module.named_parameters())[:MOST_PARAMETERS]
    observed["parameters"] = len(named)
    observed["numbers"] = sum(parameter.numel() for _, parameter in named)
    observed["saved"] = sum(
        value.numel() for value in module.state_dict().values() if isinstance(value, Tensor)
    )
    for index, (name, parameter) in enumerate(named):
        observed[f"shape.{index}"] = ",".join(map(str, parameter.shape))
        observed[f"name.{index}"] = name[:80]


def observe_dropout(observed: Observations, build: Build, seed: int) -> None:
    """Call a module with dropout in both modes; tokens that are all alike show what is dropped."""
    module = built(observed, "dropout.build", build, LARGE, seed, dropout=DROPOUT)
    if module is None:
        return
    call = Call(tokens(LARGE, seed))
    observe_call(observed, "dropout.first", module, call)
    observe_call(observed, "dropout.second", module, call)
    observe_call(observed, "dropout.training", module.train(), call)
    observe_call(observed, "dropout.alike", module, Call(alike_tokens(LARGE, seed)))


# A module's parameters, listed once: to ask a module of many layers takes as long as to call it.
Weights = list[nn.Parameter]


def observe_result(
    observed: Observations,
    name: str,
    weights: Weights,
    contract: Contract,
    results: dict[str, object],
) -> None:
    """Write down what the graph of a call's result says; `results` holds this and earlier ones."""
    result = results[name]
    if name == "plain" and contract.weights:
        attempt(observed, "one_head", lambda: observe_one_head(observed, weights, result))
    if name == "again":
        attempt(
            observed, "graph", lambda: observe_graph(observed, weights, results["plain"], result)
        )
    if name == "blind":
        attempt(observed, "blind_gradient", lambda: observe_blind(observed, weights, result))


def observe_learning(
    observed: Observations, module: nn.Module, weights: Weights, seed: int
) -> None:
    """Write down what needs calls of its own: gradients to read projections from, and a step."""
    attempt(observed, "reading", lambda: observe_reading(observed, module, weights, seed))
    attempt(observed, "cut", lambda: observe_cut(observed, module, weights, seed))
    attempt(observed, "step", lambda: observe_step(observed, module, weights, seed))


def output_of(result: Any) -> Tensor:
    """Return the output alone, as a tensor.

    Raises: TypeError if there is none.
    """
    output = result[0] if isinstance(result, tuple | list) else result
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


def observe_graph(observed: Observations, weights: Weights, plain: object, again: object) -> None:
    """Count the weights that are used but not registered, and those that are new in every call."""
    first, second = (list(leaves(output_of(result))) for result in (plain, again))
    known = {id(parameter) for parameter in weights}
    before = {id(leaf) for leaf in first}
    observed["used"] = len(first)
    observed["unregistered"] = sum(id(leaf) not in known for leaf in first)
    observed["fresh"] = sum(id(leaf) not in before for leaf in second)


def reading_inputs(seed: int) -> tuple[Tensor, Tensor]:
    """Make the two inputs from whose gradients the projections can be told apart.

    Feature 0 is zero everywhere, so that weights on it get no gradient. Feature 2 is one
    everywhere, so that weights on it get the gradient of the bias.
    """
    x = 0.3 * tokens(LARGE, seed + 2)[:, :2]  # small: a saturated softmax has no gradient
    x[..., 0] = 0.0
    x[..., 2] = 1.0
    return x[:1, :1], x


def observe_reading(observed: Observations, module: nn.Module, weights: Weights, seed: int) -> None:
    """Write down gradients for one token (nothing reaches query and key) and for two times two.

    The quiet ones leave output feature 1 out, so that weights which only feed that get no gradient.
    """
    one, four = reading_inputs(seed)
    output = output_of(module(one))
    quiet = output[..., [0, *range(2, output.shape[-1])]]
    record_gradients(observed, "gradient.one", weights, towards(output), keep=True)
    record_gradients(observed, "gradient.quiet", weights, towards(quiet))
    record_gradients(observed, "gradient.four", weights, towards(output_of(module(four))))


@torch.no_grad()
def observe_cut(observed: Observations, module: nn.Module, weights: Weights, seed: int) -> None:
    """Count the matrices of which some rows change the output and get no gradient."""
    _, x = reading_inputs(seed)
    before = output_of(module(x))
    cut = 0
    for index, weight in enumerate(weights[:MOST_PARAMETERS]):
        gradient = observed.get(f"gradient.four.{index}")
        silent = torch.ones(len(weight), dtype=torch.bool) if weight.dim() > 1 else None
        if silent is not None and isinstance(gradient, Tensor):
            silent = gradient.flatten(1).abs().amax(dim=1) == 0
        if silent is None or not silent.any():
            continue
        kept = weight.clone()
        weight[silent] *= 1.5
        cut += not torch.equal(output_of(module(x)), before)
        weight.copy_(kept)
    observed["cut"] = cut


def towards(output: Tensor) -> Tensor:
    """Sum up the outputs, each by another factor."""
    return torch.sum(output * torch.linspace(0.7, 1.9, output.numel()).view(output.shape))


def record_gradients(
    observed: Observations, key: str, weights: Weights, loss: Tensor, keep: bool = False
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
            record(observed, f"{key}.{index}", gradient)


def observe_one_head(observed: Observations, weights: Weights, result: Any) -> None:
    """Write down which weights move the map of the first head."""
    first = result[1][:, 0]
    factors = torch.linspace(0.3, 1.7, first.numel()).view(first.shape)
    record_gradients(observed, "gradient.head", weights, torch.sum(first * factors))


def observe_blind(observed: Observations, weights: Weights, result: object) -> None:
    """Write down gradients when one query may attend to nothing."""
    record_gradients(observed, "gradient.blind", weights, torch.sum(output_of(result)))


def observe_step(observed: Observations, module: nn.Module, weights: Weights, seed: int) -> None:
    """Train for one step as a learner would, and write down which weights are new."""
    before = [parameter.detach().clone() for parameter in weights]
    module.train()
    torch.autograd.backward(towards(output_of(module(tokens(LARGE, seed).clone()))))
    with torch.no_grad():
        for index, parameter in enumerate(weights[:MOST_PARAMETERS]):
            if parameter.grad is not None:
                parameter.sub_(parameter.grad)
            record(observed, f"step.{index}", parameter - before[index])
    module.eval()
