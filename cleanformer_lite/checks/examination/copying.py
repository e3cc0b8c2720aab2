"""Copy an attention and the call in which it was met, so that nothing of the model is touched."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.examination.discover import (
    Site,
    forward_parameters,
    tensors_in,
)
from cleanformer_lite.checks.examination.errors import NotAskedError, short

CACHES = ("past", "cache")


def by_name(site: Site) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Name all arguments but the first, as far as forward's signature says how."""
    parameters = forward_parameters(site.module)
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(positional) < len(site.args):
        return site.args, dict(site.kwargs)
    rest = dict(zip(positional[1:], site.args[1:], strict=False))
    return site.args[:1], {**rest, **site.kwargs}


def copied(module: nn.Module) -> nn.Module:
    """Copy a module; results that it keeps from an earlier call are copied without their graph."""
    kept: dict[int, Any] = {}
    for part in module.modules():
        for value in tensors_in(vars(part)):
            if not value.is_leaf:
                kept[id(value)] = value.detach().clone()
    try:
        copied = copy.deepcopy(module, kept)
    except Exception as error:
        raise NotAskedError(f"it cannot be copied: {short(error)}") from error
    for part in copied.modules():
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
        if hasattr(part, "gradient_checkpointing"):
            vars(part)["gradient_checkpointing"] = False
    return copied


@torch.no_grad()
def fill(module: nn.Module, seed: int) -> None:
    """Give a copy weights without zeros and ones, so that nothing stays hidden behind them."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if not parameter.is_floating_point():
            continue
        drawn = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() >= 2:
            spread = 1.3 / math.sqrt(max(parameter.shape[-1], 1))
            parameter.copy_(drawn * spread)
        elif parameter.numel() and not bool(parameter.any()):
            parameter.copy_(0.2 * drawn if parameter.dim() else torch.tensor(0.5))
        parameter.requires_grad_(True)


class Memory:
    """Attributes of a module that calls may change, kept so that no call reads an earlier one's."""

    def __init__(self, module: nn.Module) -> None:
        self.parts = list(module.modules())
        self.kept = [{n: _shallow(v) for n, v in _attributes(part).items()} for part in self.parts]

    def restore(self) -> None:
        """Put everything back as it was met."""
        for part, kept in zip(self.parts, self.kept, strict=True):
            for name in _attributes(part).keys() - kept.keys():
                del vars(part)[name]
            vars(part).update({name: _shallow(value) for name, value in kept.items()})


def _attributes(part: nn.Module) -> dict[str, Any]:
    kinds = (Tensor, list, tuple, dict, type(None))
    return {n: v for n, v in vars(part).items() if not n.startswith("_") and isinstance(v, kinds)}


def _shallow(value: Any) -> Any:
    return value.copy() if type(value) in (list, dict) else value


def without_cache(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Switch a cache off: a call must not depend on the one before."""
    kept = dict(kwargs)
    for name, value in kwargs.items():
        if name == "use_cache":
            kept[name] = False
        elif any(word in name for word in CACHES) and not isinstance(value, (Tensor, bool)):
            kept[name] = None
    return kept
