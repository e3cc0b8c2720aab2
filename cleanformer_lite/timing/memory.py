"""Add up the memory of the tensors that are alive at once, on any device."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cleanformer_lite.timing.backward import run_backward


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


def peak_memory(
    module: Callable[..., Any], inputs: Sequence[Tensor], *, backward: bool = False
) -> int:
    """Return how many bytes of new tensors are alive at once, at most, in one call.

    Weights and inputs are not counted; with `backward` the gradients are. The count follows from
    the code and the shapes. What a single kernel needs inside itself is not seen.

    Units: bytes.

    Raises: ValueError if `backward` is asked for and the output carries no gradient.
    """
    with torch.set_grad_enabled(backward), _Ledger() as ledger:
        run_backward(module, inputs) if backward else module(*inputs)
    return int(ledger.peak)
