"""Ask for gradients the same way wherever something is counted or timed."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn


def run_backward(module: Callable[..., Any], inputs: Sequence[Tensor]) -> None:
    """Call `module(*inputs)` and send a gradient back from the sum of its (first) output.

    Old gradients are dropped first: adding to them would be work that a first call has not.

    Raises: ValueError if the output carries no gradient.
    """
    for parameter in module.parameters() if isinstance(module, nn.Module) else ():
        parameter.grad = None
    output = module(*inputs)
    output = output[0] if isinstance(output, tuple) else output
    if not output.requires_grad:
        raise ValueError("wanted an output that carries a gradient, got one that does not")
    output.sum().backward()
