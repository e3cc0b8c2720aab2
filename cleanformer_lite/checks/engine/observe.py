"""Build a module, call it, follow its gradients, and record what it does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from cleanformer_lite.checks.engine.trials import (
    DROPOUT,
    LARGE,
    MOST_PARAMETERS,
    SMALL,
    Call,
    Contract,
    Sizes,
    alike_tokens,
    calls,
    parameter_values,
    tokens,
)
from cleanformer_lite.checks.observations import (
    CallOutcome,
    Graph,
    ModuleObservations,
    Raised,
    Registered,
    Tensors,
    TrialOutcome,
    attempt,
    recorded,
)
from cleanformer_lite.checks.session import seeded

Build = Callable[..., Any]
# A module's parameters, listed once, because listing those of many layers takes as long as a call.
Parameters = list[nn.Parameter]


def observe_module(build: Build, contract: Contract, seed: int) -> ModuleObservations:
    """Observe one module, with parameters that follow from the seed."""
    observer = _Observer(build, contract, seed)
    _, error = attempt(observer.observe)
    seen = observer.seen
    if error is not None:  # an answer's own `parameters()` raised: report it as a call that raised
        seen.small.calls["unmasked"] = replace(seen.small.call("unmasked"), error=error)
    return replace(seen, errors=tuple(observer.errors))


@dataclass
class _Observer:
    """Tries a module; `seen` grows step by step, so that a later error loses nothing."""

    build: Build
    contract: Contract
    seed: int
    seen: ModuleObservations = field(default_factory=ModuleObservations)
    errors: list[Raised] = field(default_factory=list)

    def observe(self) -> None:
        """Build and call a small and a large module, and follow the gradients of the large one."""
        with seeded(self.seed), torch.enable_grad():
            small, module = self.built(SMALL)
            self.seen = replace(self.seen, small=small)
            if module is None or not self.call(module, SMALL, small):
                return
            large, module = self.built(LARGE)
            self.seen = replace(self.seen, large=large)
            if module is None or not self.call(module, LARGE, large):
                return
            self.list_parameters(module)
            parameters = list(module.parameters())
            self.tried(lambda: self.read(module, parameters))
            self.tried(lambda: self.count_cut(module, parameters))
            self.tried(lambda: self.step(module, parameters))
            if self.contract.dropout:
                self.tried(self.call_with_dropout)

    def tried(self, look: Callable[[], None]) -> Raised | None:
        """Observe something beside the calls, and keep the error if it raises."""
        _, error = attempt(look)
        if error is not None:
            self.errors.append(error)
        return error

    def built(self, sizes: Sizes, **options: Any) -> tuple[TrialOutcome, nn.Module | None]:
        """Build a module in evaluation mode, with parameters that the judge knows, if it can be."""
        module, error = attempt(lambda: self.build(sizes.embed_dim, sizes.num_heads, **options))
        if error is not None:
            return TrialOutcome(build_error=error), None
        if not isinstance(module, nn.Module):
            return TrialOutcome(wrong_kind=type(module).__name__), None
        _, error = attempt(module.eval)
        if any(isinstance(parameter, UninitializedParameter) for parameter in module.parameters()):
            _, late = attempt(lambda: module(tokens(sizes, self.seed).clone()))
            error = late or error
        self.tried(lambda: _fill(module, sizes, self.seed))
        return TrialOutcome(build_error=error), module if error is None else None

    def call(self, module: nn.Module, sizes: Sizes, trial: TrialOutcome) -> bool:
        """Make every call of a trial, and say whether the one without a mask went well.

        Gradients of a call are asked for at once, because a later call may change what the module
        remembers of this one.
        """
        results: dict[str, Any] = {}
        parameters = list(module.parameters())
        for name, call in calls(sizes, self.contract, self.seed).items():
            trial.calls[name], results[name] = _call(module, call, self.contract.weights)
            if sizes == LARGE:
                self.follow(name, parameters, results)
        return trial.call("unmasked").error is None

    def follow(self, name: str, parameters: Parameters, results: dict[str, Any]) -> None:
        """Follow the graph of a call's result; `results` holds this and earlier ones."""
        if name == "unmasked" and self.contract.weights:
            error = self.tried(lambda: self.follow_first_head(parameters, results["unmasked"]))
            self.seen = replace(self.seen, head_error=error)
        if name == "again":
            self.tried(lambda: self.follow_graph(parameters, results["unmasked"], results["again"]))
        if name == "blind":
            self.tried(lambda: self.follow_blind(parameters, results["blind"]))

    def follow_first_head(self, parameters: Parameters, result: Any) -> None:
        """Record which parameters change the map of the first head."""
        first = result[1][:, 0]
        factors = torch.linspace(0.3, 1.7, first.numel()).view(first.shape)
        self.gradients(head=_gradients(parameters, torch.sum(first * factors)))

    def follow_graph(self, parameters: Parameters, result: Any, again: Any) -> None:
        """Count parameters that are used but not registered, and those new in every call."""
        first, second = (list(leaves(_output_of(called))) for called in (result, again))
        known = {id(parameter) for parameter in parameters}
        before = {id(leaf) for leaf in first}
        graph = Graph(
            used=len(first),
            unregistered=sum(id(leaf) not in known for leaf in first),
            fresh=sum(id(leaf) not in before for leaf in second),
        )
        self.seen = replace(self.seen, graph=graph)

    def follow_blind(self, parameters: Parameters, result: Any) -> None:
        """Record gradients when one query may attend to nothing."""
        self.gradients(blind=_gradients(parameters, torch.sum(_output_of(result))))

    def gradients(self, **taken: Tensors) -> None:
        self.seen = replace(self.seen, gradients=replace(self.seen.gradients, **taken))

    def list_parameters(self, module: nn.Module) -> None:
        """Record names and shapes of the registered parameters."""
        named = list(module.named_parameters())[:MOST_PARAMETERS]
        registered = Registered(
            names=tuple(name[:80] for name, _ in named),
            shapes=tuple(tuple(parameter.shape) for _, parameter in named),
            numbers=sum(parameter.numel() for _, parameter in named),
        )
        self.seen = replace(self.seen, registered=registered)
        kept = (value for value in module.state_dict().values() if isinstance(value, Tensor))
        registered = replace(registered, saved=sum(value.numel() for value in kept))
        self.seen = replace(self.seen, registered=registered)

    def read(self, module: nn.Module, parameters: Parameters) -> None:
        """Record gradients for one token (no query or key gets any) and for two samples of two.

        The quiet ones leave out output feature 1, so that parameters which feed only that get none.
        """
        one, four = _reading_inputs(self.seed)
        output = _output_of(module(one))
        quiet = output[..., [0, *range(2, output.shape[-1])]]
        self.gradients(one=_gradients(parameters, _towards(output), keep=True))
        self.gradients(quiet=_gradients(parameters, _towards(quiet)))
        self.gradients(four=_gradients(parameters, _towards(_output_of(module(four)))))

    @torch.no_grad()
    def count_cut(self, module: nn.Module, parameters: Parameters) -> None:
        """Count the matrices of which some rows change the output and get no gradient."""
        _, x = _reading_inputs(self.seed)
        before = _output_of(module(x))
        gradients, cut = self.seen.gradients.four, 0
        for index, weight in enumerate(parameters[:MOST_PARAMETERS]):
            gradient = gradients[index] if gradients else None
            silent = torch.ones(len(weight), dtype=torch.bool) if weight.dim() > 1 else None
            if silent is not None and gradient is not None:
                silent = gradient.flatten(1).abs().amax(dim=1) == 0
            if silent is None or not silent.any():
                continue
            kept = weight.clone()
            weight[silent] *= 1.5
            cut += not torch.equal(_output_of(module(x)), before)
            weight.copy_(kept)
        self.seen = replace(self.seen, cut=cut)

    def step(self, module: nn.Module, parameters: Parameters) -> None:
        """Train for one step as a learner would, and record by how much each parameter changes."""
        before = [parameter.detach().clone() for parameter in parameters]
        module.train()
        torch.autograd.backward(_towards(_output_of(module(tokens(LARGE, self.seed).clone()))))
        moves = []
        with torch.no_grad():
            for index, parameter in enumerate(parameters[:MOST_PARAMETERS]):
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad)
                moves.append(parameter - before[index])
        self.seen = replace(self.seen, step=tuple(moves))
        module.eval()

    def call_with_dropout(self) -> None:
        """Call a module with dropout in both modes; equal tokens show what is dropped."""
        trial, module = self.built(LARGE, dropout=DROPOUT)
        self.seen = replace(self.seen, dropout=trial)
        if module is None:
            return
        call = Call(tokens(LARGE, self.seed))
        trial.calls["first"], _ = _call(module, call)
        trial.calls["second"], _ = _call(module, call)
        trial.calls["training"], _ = _call(module.train(), call)
        trial.calls["alike"], _ = _call(module, Call(alike_tokens(LARGE, self.seed)))


def _call(module: nn.Module, call: Call, has_weights: bool = True) -> tuple[CallOutcome, Any]:
    """Make one call; return its outcome, and the result itself."""
    x = call.x.clone()
    seen = CallOutcome()

    def make() -> object:
        nonlocal seen
        result = module(x, **call.arguments())
        if has_weights and isinstance(result, tuple | list) and len(result) == 2:
            seen = CallOutcome(recorded(result[0]), recorded(result[1]))
        else:
            seen = CallOutcome(recorded(result))
        if not torch.equal(x.detach(), call.x):
            seen = replace(seen, changed_input=recorded(x))
        return result

    result, error = attempt(make)
    return seen if error is None else replace(seen, error=error), result


@torch.no_grad()
def _fill(module: nn.Module, sizes: Sizes, seed: int) -> None:
    """Give every parameter values that follow from the seed and its index."""
    for index, parameter in enumerate(module.parameters()):
        parameter.copy_(parameter_values(sizes, seed, index, parameter.shape))


def _output_of(result: Any) -> Tensor:
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


def _reading_inputs(seed: int) -> tuple[Tensor, Tensor]:
    """Make the two inputs from whose gradients the projections can be told apart.

    Feature 0 is zero everywhere, so that parameters on it get no gradient. Feature 2 is one
    everywhere, so that parameters on it get the gradient of the bias.
    """
    x = 0.3 * tokens(LARGE, seed + 2)[:, :2]  # small: a saturated softmax has no gradient
    x[..., 0] = 0.0
    x[..., 2] = 1.0
    return x[:1, :1], x


def _towards(output: Tensor) -> Tensor:
    """Sum the outputs, each times a factor of its own."""
    return torch.sum(output * torch.linspace(0.7, 1.9, output.numel()).view(output.shape))


def _gradients(parameters: Parameters, loss: Tensor, keep: bool = False) -> Tensors:
    """Return the gradient of each registered parameter, None where there is none.

    `keep` keeps the graph for another loss.
    """
    some = parameters[:MOST_PARAMETERS]
    wanted = [parameter for parameter in some if parameter.requires_grad]
    taken = iter(torch.autograd.grad(loss, wanted, allow_unused=True, retain_graph=keep))
    found = [next(taken) if parameter.requires_grad else None for parameter in some]
    return tuple(None if gradient is None else gradient.detach().clone() for gradient in found)
