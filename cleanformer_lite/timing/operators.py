"""Count the operators that reach the backend: exact, and the same on every machine."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cleanformer_lite.timing.backward import run_backward

# Named as if it computed, but it only relabels the axes of the memory it is given.
RELABELS = {torch.ops.aten._unsafe_view.default}


class OperatorCount(NamedTuple):
    """How many operators compute something, and how many only look at memory another way."""

    compute: int
    views: int


class _Counter(TorchDispatchMode):
    """See every operator on its way to the backend."""

    compute = 0
    views = 0

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if is_view(func):
            self.views += 1
        else:
            self.compute += 1
            self.names.append(str(func.overloadpacket).removeprefix("aten."))
        return func(*args, **(kwargs or {}))


def is_view(func: torch._ops.OpOverload) -> bool:
    """Say whether an operator hands back memory it was given, unchanged."""
    aliases = [result.alias_info for result in func._schema.returns]
    return func in RELABELS or any(alias is not None and not alias.is_write for alias in aliases)


def count_operators(
    module: Callable[..., Any], inputs: Sequence[Tensor], *, backward: bool = False
) -> OperatorCount:
    """Count the operators of one call `module(*inputs)`, and of its gradients with `backward`.

    The count depends on the code and the shapes, not on the machine. A fused kernel counts as one.

    Raises: ValueError if `backward` is asked for and the output carries no gradient.
    """
    with torch.set_grad_enabled(backward), _Counter() as counter:
        run_backward(module, inputs) if backward else module(*inputs)
    return OperatorCount(counter.compute, counter.views)


KERNELS = {
    "flash": "scaled_dot_product_flash",
    "memory-efficient": "scaled_dot_product_efficient",
    "cudnn": "scaled_dot_product_cudnn",
    "fast path": "native_multi_head_attention",
}


def name_kernel(module: Callable[..., Any], inputs: Sequence[Tensor]) -> str:
    """Name the fused kernel that attends in one call, or say "written out" where there is none.

    It is read off the operators that reach the backend: what ran, not what was allowed.
    """
    with torch.no_grad(), _Counter() as counter:
        module(*inputs)
    seen = " ".join(counter.names)
    return next((kind for kind, name in KERNELS.items() if name in seen), "written out")
