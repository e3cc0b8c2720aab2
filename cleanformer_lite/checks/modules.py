"""Try a module: call it on everything, and write down outputs, gradients and parameters."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.facts import attempt, record
from cleanformer_lite.checks.probes import (
    LARGE,
    TRIALS,
    Call,
    Contract,
    Sizes,
    blind_mask,
    calls,
    tokens,
    weight_values,
)

Build = Callable[..., Any]
Load = Callable[[nn.Module, Sizes], None]
MOST_PARAMETERS = 64


def observe_module(
    build: Build, contract: Contract, seed: int, load: Load | None = None
) -> Observations:
    """Collect the facts about one module; `load` puts weights in, seeded ones if not given."""
    facts: Observations = {}
    put = load or (lambda module, sizes: fill(module, sizes, seed))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        module = None
        for label, sizes in TRIALS.items():
            module = built(facts, f"{label}.build", build, sizes, put)
            if module is None:
                return facts
            for name, call in calls(sizes, contract, seed).items():
                observe_call(facts, f"{label}.{name}", module, call)
            if f"{label}.plain.error" in facts:
                return facts
        if module is not None:
            observe_weights(facts, module, contract, seed)
        if contract.dropout:
            attempt(facts, "dropout", lambda: observe_dropout(facts, build, put, seed))
    return facts


def observe_weights(facts: Observations, module: nn.Module, contract: Contract, seed: int) -> None:
    """Write down all that concerns the module's own weights."""
    observe_parameters(facts, module)
    attempt(facts, "graph", lambda: observe_graph(facts, module, seed))
    attempt(facts, "reading", lambda: observe_reading(facts, module, seed))
    if contract.weights:
        attempt(facts, "one_head", lambda: observe_one_head(facts, module, seed))
    if contract.masks:
        attempt(facts, "blind_gradient", lambda: observe_blind(facts, module, seed))
    attempt(facts, "step", lambda: observe_step(facts, module, seed))


def built(
    facts: Observations, key: str, build: Build, sizes: Sizes, load: Load, **options: Any
) -> nn.Module | None:
    """Build a module in evaluation mode with weights that the judge knows, or say what came."""
    module = attempt(facts, key, lambda: build(sizes.embed_dim, sizes.num_heads, **options))
    if not isinstance(module, nn.Module):
        facts.setdefault(f"{key}.kind", type(module).__name__)
        return None
    attempt(facts, f"{key}.load", lambda: load(module, sizes))
    return module.eval()


@torch.no_grad()
def fill(module: nn.Module, sizes: Sizes, seed: int) -> None:
    """Give every parameter values that follow from the seed and its place."""
    for index, parameter in enumerate(module.parameters()):
        parameter.copy_(weight_values(sizes, seed, index, parameter.shape))


def observe_call(facts: Observations, key: str, module: nn.Module, call: Call) -> None:
    """Write down what one call returns, and whether it left its input alone."""
    x = call.x.clone()
    result = attempt(facts, key, lambda: module(x, **call.arguments()))
    if f"{key}.error" in facts:
        return
    if isinstance(result, tuple) and len(result) == 2:
        record(facts, f"{key}.output", result[0])
        record(facts, f"{key}.weights", result[1])
    else:
        record(facts, f"{key}.output", result)
    if not torch.equal(x.detach(), call.x):
        record(facts, f"{key}.input", x)


def output_of(result: Any) -> Tensor:
    """Return the output alone, as a tensor.

    Raises: TypeError if there is none.
    """
    output = result[0] if isinstance(result, tuple) else result
    if not isinstance(output, Tensor):
        raise TypeError(f"wanted a tensor, got {type(output).__name__}")
    return output


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


def observe_graph(facts: Observations, module: nn.Module, seed: int) -> None:
    """Count the weights that are used but not registered, and those that are new in every call."""
    x = tokens(LARGE, seed)
    first, second = (list(leaves(output_of(module(x)))) for _ in range(2))
    known = {id(parameter) for parameter in module.parameters()}
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


def observe_reading(facts: Observations, module: nn.Module, seed: int) -> None:
    """Write down gradients for one token (nothing reaches query and key) and for two times two.

    The third leaves output feature 1 out, so that weights which only feed that get no gradient.
    """
    one, four = reading_inputs(seed)
    for key, x in (("one", one), ("four", four), ("quiet", one)):
        output = output_of(module(x))
        output = output[..., [0, *range(2, output.shape[-1])]] if key == "quiet" else output
        record_gradients(facts, f"gradient.{key}", module, towards(output))


def towards(output: Tensor) -> Tensor:
    """Sum up the outputs, each by another factor."""
    return torch.sum(output * torch.linspace(0.7, 1.9, output.numel()).view(output.shape))


def record_gradients(facts: Observations, key: str, module: nn.Module, loss: Tensor) -> None:
    """Write down the gradient of each registered parameter; none is written where there is none."""
    parameters = list(module.parameters())[:MOST_PARAMETERS]
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
    for index, gradient in zip(
        (i for i, parameter in enumerate(parameters) if parameter.requires_grad),
        gradients,
        strict=True,
    ):
        if gradient is not None:
            record(facts, f"{key}.{index}", gradient)


def observe_one_head(facts: Observations, module: nn.Module, seed: int) -> None:
    """Write down which weights move the map of the first head."""
    weights = module(tokens(LARGE, seed))[1]
    factors = torch.linspace(0.3, 1.7, weights[:, 0].numel()).view(weights[:, 0].shape)
    record_gradients(facts, "gradient.head", module, torch.sum(weights[:, 0] * factors))


def observe_blind(facts: Observations, module: nn.Module, seed: int) -> None:
    """Write down gradients when one query may attend to nothing."""
    output = output_of(module(tokens(LARGE, seed), attn_mask=blind_mask(LARGE)))
    record_gradients(facts, "gradient.blind", module, torch.sum(output))


def observe_step(facts: Observations, module: nn.Module, seed: int) -> None:
    """Train for one step as a learner would, and write down which weights are new."""
    before = [parameter.detach().clone() for parameter in module.parameters()]
    module.train()
    torch.autograd.backward(towards(output_of(module(tokens(LARGE, seed)))))
    with torch.no_grad():
        for index, parameter in enumerate(list(module.parameters())[:MOST_PARAMETERS]):
            if parameter.grad is not None:
                parameter.sub_(parameter.grad)
            record(facts, f"step.{index}", parameter - before[index])
    module.eval()


def observe_dropout(facts: Observations, build: Build, load: Load, seed: int) -> None:
    """Call a module with dropout 0.5 in both modes."""
    module = built(facts, "dropout.build", build, LARGE, load, dropout=0.5)
    if module is None:
        return
    call = Call(tokens(LARGE, seed))
    observe_call(facts, "dropout.first", module, call)
    observe_call(facts, "dropout.second", module, call)
    observe_call(facts, "dropout.training", module.train(), call)
