"""Count what a call does, exactly: its operators, the kernel that attends, its peak memory."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cleanformer_lite.timing.calls import Inputs, as_inputs, run_backward
from cleanformer_lite.timing.count_bars import draw_counts

# Named as if it computed, but it only relabels the axes of the memory it is given.
_RELABELS = {torch.ops.aten._unsafe_view.default}
_KERNELS = {
    "flash": "scaled_dot_product_flash",
    "memory-efficient": "scaled_dot_product_efficient",
    "cudnn": "scaled_dot_product_cudnn",
    "fast path": "native_multi_head_attention",
}
WRITTEN_OUT = "written out"


class OperatorCount(NamedTuple):
    """How many operators compute something, and how many only look at memory another way."""

    compute: int
    views: int

    def _repr_html_(self) -> str:
        """Draw both numbers as bars on one scale."""
        return draw_counts({"compute": self.compute, "views": self.views})


def count_operators(
    module: Callable[..., Any], inputs: Inputs, *, backward: bool = False
) -> OperatorCount:
    """Count the operators of one call `module(*inputs)`, and of its gradients with `backward`.

    The count depends on the code and the shapes, not on the machine. A fused kernel counts as one.
    A single tensor stands for a list of one.

    Raises: ValueError if `backward` is asked for and the output carries no gradient.
    """
    with torch.set_grad_enabled(backward), OperatorCounter() as counter:
        run_backward(module, inputs) if backward else module(*as_inputs(inputs))
    return OperatorCount(len(counter.names), counter.views)


def name_kernel(module: Callable[..., Any], inputs: Inputs) -> str:
    """Name the fused kernel that attends in one call, or say "written out" where there is none.

    It is read off the operators that reach the backend: what ran, not what was allowed.
    """
    counter = OperatorCounter()
    with torch.no_grad(), counter:
        module(*as_inputs(inputs))
    return counter.kernel()


def peak_memory(module: Callable[..., Any], inputs: Inputs, *, backward: bool = False) -> int:
    """Return how many bytes of new tensors are alive at once, at most, in one call.

    Weights and inputs are not counted; with `backward` the gradients are. The count follows from
    the code and the shapes. What a single kernel needs inside itself is not seen.

    Units: bytes.

    Raises: ValueError if `backward` is asked for and the output carries no gradient.
    """
    with torch.set_grad_enabled(backward), _Ledger() as ledger:
        run_backward(module, inputs) if backward else module(*as_inputs(inputs))
    return int(ledger.peak)


class OperatorCounter(TorchDispatchMode):
    """See every operator on its way to the backend: the names of those that compute, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.views = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if _is_view(func):
            self.views += 1
        else:
            self.names.append(str(func.overloadpacket).removeprefix("aten."))
        return func(*args, **(kwargs or {}))

    def kernel(self) -> str:
        """Return the name of the fused kernel among the operators, or "written out"."""
        seen = " ".join(self.names)
        return next((kind for kind, name in _KERNELS.items() if name in seen), WRITTEN_OUT)


def _is_view(func: torch._ops.OpOverload) -> bool:
    """Say whether an operator hands back memory it was given, unchanged."""
    aliases = [result.alias_info for result in func._schema.returns]
    return func in _RELABELS or any(alias is not None and not alias.is_write for alias in aliases)


class _Ledger(TorchDispatchMode):
    """Enter every new storage when an operator returns it, and strike it out when it is freed."""

    live = 0
    peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {_address(x) for x in tree_leaves([args, kwargs]) if isinstance(x, Tensor)}
        for x in tree_leaves(result):
            if isinstance(x, Tensor) and _address(x) not in given:
                self._enter(x.untyped_storage())
        return result

    def _enter(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._strike_out, size)

    def _strike_out(self, size: int) -> None:
        self.live -= size


def _address(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()
