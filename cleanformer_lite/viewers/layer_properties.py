"""X-ray a module: which of its layers does PyTorch know of, and what follows for each?"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

PROPERTIES = {
    "registered": "parameters() finds it",
    "in_optimizer": "the optimizer is told of it",
    "gets_gradient": "a gradient arrives",
    "changes": "a step changes it",
    "in_state_dict": "saved by state_dict()",
    "moves": ".to() takes it along",
    "stays": "still there at the next call",
    "own": "no other place shares it",
}


@dataclass(frozen=True)
class LayerProperties:
    """What holds for one layer, a module with its own parameters; PROPERTIES has the texts."""

    name: str
    kind: str
    numbers: int
    registered: bool
    in_optimizer: bool
    gets_gradient: bool
    changes: bool
    in_state_dict: bool
    moves: bool
    stays: bool
    own: bool


@dataclass(frozen=True)
class Xray:
    """The properties of every layer that a call uses, and whether two calls agree."""

    layers: list[LayerProperties]
    calls_agree: bool

    def __str__(self) -> str:
        lines = [
            f"{text:30} {sum(getattr(layer, name) for layer in self.layers)} of {len(self.layers)}"
            for name, text in PROPERTIES.items()
        ]
        return "\n".join([*lines, f"{'two calls agree':30} {'yes' if self.calls_agree else 'no'}"])


def xray(module: nn.Module, example: Tensor) -> Xray:
    """Call a copy of a module on an example, train it one step, and report on each layer.

    Layers are found by what a call uses, so those that nobody registered are found too. The module
    itself, and the random numbers to come, are left as they were.

    Shapes: example as `module(example)` takes it; the module returns a tensor.

    Raises: ValueError if the module returns anything else, or uses no layer with parameters.
    """
    with torch.random.fork_rng():
        # A module without dropout: what differs between two calls is then its own doing.
        module = copy.deepcopy(module).eval()
        output, used = call(module, example)
        if not used:
            raise ValueError(f"wanted a module with layers to look at, got {type(module).__name__}")
        again, used_again = call(module, example)
        # One number of no use: an optimizer refuses a module without any parameter.
        optimizer = torch.optim.SGD([*module.parameters(), torch.zeros(1, requires_grad=True)], 0.1)
        before = {layer: [p.detach().clone() for p in own(layer)] for layer in used}
        output.square().sum().backward()
        optimizer.step()
        told = {p for group in optimizer.param_groups for p in group["params"]}
        seen = set(module.parameters())
        saved = {id(value) for value in module.state_dict(keep_vars=True).values()}
        names = names_of(module)
        followed = layers_that_follow(module, used)
        layers = [
            LayerProperties(
                name=" = ".join(names.get(layer, ["built during the call"])),
                kind=type(layer).__name__,
                numbers=sum(p.numel() for p in own(layer)),
                registered=set(own(layer)) <= seen,
                in_optimizer=set(own(layer)) <= told,
                gets_gradient=any(p.grad is not None for p in own(layer)),
                changes=any(
                    not torch.equal(p, old)
                    for p, old in zip(own(layer), before[layer], strict=True)
                ),
                in_state_dict=all(id(p) in saved for p in own(layer)),
                moves=layer in followed,
                stays=layer in used_again,
                own=len(names.get(layer, [""])) == 1,
            )
            for layer in used
        ]
    return Xray(layers, calls_agree=torch.equal(output, again))


def own(layer: nn.Module) -> list[nn.Parameter]:
    """List the parameters that a layer holds itself, not those of its parts."""
    return list(layer.parameters(recurse=False))


def call(module: nn.Module, example: Tensor) -> tuple[Tensor, list[nn.Module]]:
    """Call a module; return its output and, in order, the layers with parameters that it used.

    Raises: ValueError if the output is no tensor.
    """
    used: dict[nn.Module, None] = {}

    def note(layer: nn.Module, _: Any) -> None:
        if own(layer):
            used[layer] = None

    hook = register_module_forward_pre_hook(note)
    try:
        output = module(example)
    finally:
        hook.remove()
    if not isinstance(output, Tensor):
        raise ValueError(f"wanted a module that returns a tensor, got {type(output).__name__}")
    return output, list(used)


def layers_that_follow(module: nn.Module, used: list[nn.Module]) -> set[nn.Module]:
    """Send a module to another dtype, and return the layers that went with it."""
    other = torch.float32 if own(used[0])[0].dtype == torch.float64 else torch.float64
    module.to(other)
    return {layer for layer in used if all(p.dtype == other for p in own(layer))}


def names_of(module: nn.Module) -> dict[nn.Module, list[str]]:
    """Find all places of every module inside, registered or in a plain list, tuple or dict."""
    names: dict[nn.Module, list[str]] = {}
    for name, layer in places(module, "", ()):
        names.setdefault(layer, []).append(name)
    return names


def places(thing: Any, name: str, above: tuple[Any, ...]) -> Iterator[tuple[str, nn.Module]]:
    """Walk attributes, lists, tuples and dicts; yield each module with the way to it."""
    if any(thing is outer for outer in above):
        return
    children: list[tuple[Any, Any]] = []
    if isinstance(thing, nn.Module):
        yield name, thing
        hidden = {k: v for k, v in vars(thing).items() if not k.startswith("_")}
        children = [*thing._modules.items(), *hidden.items()]
    elif isinstance(thing, dict):
        children = list(thing.items())
    elif isinstance(thing, list | tuple):
        children = list(enumerate(thing))
    for key, child in children:
        if isinstance(child, nn.Module | dict | list | tuple):
            yield from places(child, f"{name}.{key}".lstrip("."), (*above, thing))
