"""Find every attention inside a model, by running it once and testing each candidate."""

from __future__ import annotations

import inspect
import random
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, is_dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

# They mix tokens, and attend to nothing.
OTHER_MIXERS = (nn.RNNBase, nn.RNNCellBase, nn.modules.conv._ConvNd, nn.Embedding)


@dataclass
class Site:
    """One module of a model, with the first call that it got."""

    name: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    calls: int = 1
    shared: set[int] = field(default_factory=set)


def tensors_in(value: object, depth: int = 3) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists, dicts and records."""
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors_in(part, depth - 1)
    elif depth and isinstance(value, dict):
        for part in value.values():
            yield from tensors_in(part, depth - 1)
    elif depth and (isinstance(value, SimpleNamespace) or is_dataclass(value)):
        for part in vars(value).values():
            yield from tensors_in(part, depth - 1)


def main_output(output: object, given: Iterable[Tensor]) -> Tensor | None:
    """Return a result's first tensor with the shape of an input, or else its first tensor."""
    found = [part for part in tensors_in(output) if part.is_floating_point()]
    shapes = {tensor.shape for tensor in given if tensor.dim() == 3}
    return next((part for part in found if part.shape in shapes), next(iter(found), None))


def _uncompiled() -> AbstractContextManager[Any]:
    """Run compiled code as it was written, so that it can be watched."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


@contextmanager
def kept_as_it_was(model: nn.Module) -> Iterator[None]:
    """Restore a model after the body: mode, gradients, buffers, parameters, and random numbers."""
    modes = {module: module.training for module in model.modules()}
    gradients = {p: p.grad for p in model.parameters()}
    values = {t: t.detach().clone() for t in (*model.buffers(), *model.parameters())}
    threads = torch.get_num_threads()
    devices = {t.device.index for t in values if t.device.type == "cuda"}
    with ExitStack() as kept:
        kept.callback(random.setstate, random.getstate())
        if "numpy" in sys.modules:
            numbers = sys.modules["numpy"].random
            kept.callback(numbers.set_state, numbers.get_state())
        for context in (
            torch.random.fork_rng(devices=devices),
            torch.inference_mode(mode=False),  # questions need gradients, wherever they are asked
            torch.enable_grad(),
            _uncompiled(),
        ):
            kept.enter_context(context)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            for module, mode in modes.items():
                module.training = mode
            for parameter, gradient in gradients.items():
                parameter.grad = gradient
            with torch.no_grad():
                for tensor, value in values.items():
                    if not torch.equal(tensor.nan_to_num(), value.nan_to_num()):
                        tensor.copy_(value)


def record_calls(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Site]:
    """Run a model once in evaluation mode, and record the first call of every module."""
    names = {module: name for name, module in model.named_modules()}
    sites: dict[str, Site] = {}

    def note(module: nn.Module, given: Any, named: dict[str, Any], result: Any) -> None:
        name = names.get(module)
        if name in sites:
            sites[name].calls += 1
        elif name is not None:
            sites[name] = Site(name, module, tuple(given), dict(named), result)

    # One hook for all modules leaves their own alone; scripted ones take no other.
    handle = register_module_forward_hook(note, with_kwargs=True)
    try:
        model.eval()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Using `torch.compile")  # it runs uncompiled
            _call_with_gradients(model, args, kwargs, sites)
    finally:
        handle.remove()
    return sites


def _call_with_gradients(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], sites: dict[str, Site]
) -> None:
    """Call a model, without gradients only if a kernel has none on this device."""
    try:
        model(*args, **kwargs)
    except (RuntimeError, NotImplementedError):
        if not torch.is_grad_enabled():
            raise
        sites.clear()
        with torch.no_grad():
            model(*args, **kwargs)


def candidates(sites: dict[str, Site]) -> list[Site]:
    """Keep modules that may be an attention: E numbers a token in and out, and parameters."""
    return [site for site in sites.values() if _may_attend(site)]


def _may_attend(site: Site) -> bool:
    if isinstance(site.module, (*OTHER_MIXERS, nn.ModuleList, nn.LayerNorm)):
        return False
    # Layers that are built in every call leave no parameters, and attend all the same.
    kept = (*site.module.parameters(), *site.module.buffers())
    matrices = any(tensor.dim() >= 2 and tensor.is_floating_point() for tensor in kept)
    if not matrices and not _reads_like_attention(site.module):
        return False
    given = [t for t in tensors_in((site.args, site.kwargs)) if t.is_floating_point()]
    output = main_output(site.output, given)
    if output is None or output.dim() != 3:
        return False
    shape = output.shape
    return any(
        t.dim() == 3 and t.shape[-1] == shape[-1] and t.shape[:2] == shape[:2] for t in given
    )


def _reads_like_attention(module: nn.Module) -> bool:
    """Say whether a module's name or arguments sound like attention."""
    return "att" in type(module).__name__.lower()


def innermost(found: list[str]) -> list[str]:
    """Keep the names of modules that contain no other."""
    below = [(f"{name}." if name else "", name) for name in found]
    return [
        name
        for prefix, name in below
        if not any(other != name and other.startswith(prefix) for other in found)
    ]


def forward_parameters(module: nn.Module) -> list[inspect.Parameter]:
    """List forward's parameters, with those of base classes if it passes arguments on.

    If neither names any, list those of `call`, as in Keras.
    """
    found: dict[str, inspect.Parameter] = {}
    kinds = [kind for kind in type(module).__mro__ if kind is not nn.Module]
    methods = [vars(kind)["forward"] for kind in kinds if "forward" in vars(kind)]
    for method in (*methods, getattr(type(module), "call", None)):
        try:
            parameters = list(inspect.signature(method).parameters.values())[1:]
        except (TypeError, ValueError):
            continue
        for parameter in parameters:
            found.setdefault(parameter.name, parameter)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(found.values())
