"""See that variants compute the same before their times are set side by side."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

# How far apart two right ways of computing may lie, against the largest output: rounding.
TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 1e-2,
    torch.bfloat16: 5e-2,
}


def largest_gap(
    variants: Mapping[str, Callable[..., Any]],
    inputs: Mapping[str, Sequence[Tensor]],
    different: Collection[str] = (),
) -> float | None:
    """Return how far any variant's output lies from the first's, against the largest output.

    Variants named in `different` are left out. None where fewer than two are left to compare.

    Raises: ValueError naming the variant whose output lies further away than rounding explains.
    """
    unknown = [name for name in different if name not in variants]
    if unknown:
        raise ValueError(f"wanted names out of {list(variants)} in `different`, got {unknown}")
    names = [name for name in variants if name not in different]
    if len(names) < 2:
        return None
    expected = run(variants[names[0]], inputs[names[0]])
    gaps = []
    for name in names[1:]:
        output = run(variants[name], inputs[name])
        gaps.append(gap_between(output, expected))
        # Written so that NaN, which no comparison holds for, is refused too.
        if not gaps[-1] <= TOLERANCE.get(expected.dtype, 0.0):
            raise ValueError(
                f"wanted variants that compute the same, got {name!r} {gaps[-1]:.2g} away from "
                f"{names[0]!r}.\ncopy_weights gives two modules one set of weights; eval() "
                "switches dropout off;\nwhat is meant to differ is named in `different`"
            )
    return max(gaps)


def run(variant: Callable[..., Any], inputs: Sequence[Tensor]) -> Tensor:
    """Return the (first) output of one call without gradients."""
    with torch.inference_mode():
        output = variant(*inputs)
    result: Tensor = output[0] if isinstance(output, tuple) else output
    return result


def gap_between(output: Tensor, expected: Tensor) -> float:
    """Return the largest difference against the largest expected number; infinite for two shapes.

    Shapes: both the same, of any rank.
    """
    if output.shape != expected.shape:
        return float("inf")
    size = expected.double().abs().max().item()
    difference = (output.double() - expected.double()).abs().max().item()
    return difference / max(size, 1e-300)
