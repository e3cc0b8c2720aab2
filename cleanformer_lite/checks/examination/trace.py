"""Record every softmax and fused kernel of a call, and the products before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

PRODUCTS = {"matmul", "bmm", "baddbmm", "__matmul__", "__rmatmul__", "einsum", "mm"}
# Where a softmax is written out, the weights come from one of these.
SHARES = {"div", "__truediv__", "true_divide", "mul", "__mul__", "masked_fill", "where", "exp"}
SHARES |= {"nan_to_num", "div_", "__itruediv__", "__rmul__", "exp_", "index_put", "softmax_"}
WRITTEN_OUT = {"multi_head_attention_forward"}
PROJECTIONS = {"linear", "addmm", "conv1d", "matmul", "__matmul__", "einsum", "mm", "bmm"}


@dataclass
class Event:
    """One operation of a call; gradients with respect to its tensors can be asked for."""

    kind: str
    inputs: list[Tensor]
    output: Tensor
    named: dict[str, Any] = field(default_factory=dict)
    value: Tensor | None = None  # of a product: what it gave, before anything is done in place


class Watch(TorchFunctionMode):
    """Record the operations of a call that attention consists of."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.dropped = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        result = (
            self.look_inside(func, args, kwargs) if name in WRITTEN_OUT else func(*args, **kwargs)
        )
        if name in ("dropout", "_VF.dropout", "alpha_dropout") and _is_dropping(args, kwargs):
            self.dropped = True
        if isinstance(result, Tensor):
            self.note(name, args, kwargs, result)
        return result

    def look_inside(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Call a function of torch that is written in Python, and record its operations."""
        library = vars(functional)
        asks = library["has_torch_function"]
        library["has_torch_function"] = lambda _: False
        try:
            with self:
                return func(*args, **kwargs)
        finally:
            library["has_torch_function"] = asks

    def note(self, name: str, args: Any, kwargs: dict[str, Any], result: Tensor) -> None:
        """Record an operation if it is of a kind that matters."""
        if name == "scaled_dot_product_attention":
            self._note_kernel(args, kwargs, result)
        elif name in ("softmax", "_softmax"):
            given = args[0] if args else kwargs.get("input")
            dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
            dim = -1 if dim is None else dim
            if isinstance(given, Tensor):
                self.events.append(Event("softmax", [given], result, {"dim": dim}))
        elif name in SHARES and result.dim() in (3, 4) and result.is_floating_point():
            self.events.append(Event("share", [], result))
        elif name in PRODUCTS | PROJECTIONS:
            given = (*_flat(args), *kwargs.values())
            tensors = [t for t in given if isinstance(t, Tensor)]
            equation = next((a for a in args if isinstance(a, str)), "")
            if len(tensors) >= 2:
                value = result.detach().clone() if name in PRODUCTS else None
                if name == "baddbmm":  # the product alone, without what is added and without alpha
                    value = torch.bmm(tensors[-2].detach(), tensors[-1].detach())
                self.events.append(Event(name, tensors, result, {"equation": equation}, value))

    def _note_kernel(self, args: Any, kwargs: dict[str, Any], result: Tensor) -> None:
        order = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = {**dict(zip(order, args, strict=False)), **kwargs}
        if given.get("dropout_p"):
            self.dropped = True
        tensors = [given["query"], given["key"], given["value"]]
        self.events.append(Event("kernel", tensors, result, given))


def _is_dropping(args: Any, kwargs: dict[str, Any]) -> bool:
    order = ("input", "p", "training", "inplace")
    given = {"p": 0.5, "training": True, **dict(zip(order, args, strict=False)), **kwargs}
    return bool(given["training"]) and float(given["p"]) > 0


def _flat(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += list(value) if isinstance(value, (tuple, list)) else [value]
    return found


def watch(call: Callable[[], Any]) -> tuple[Any, Watch]:
    """Make a call, and return its result with its record."""
    seen = Watch()
    with seen:
        result = call()
    return result, seen
