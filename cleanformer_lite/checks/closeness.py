"""When two tensors count as equal. Not torch.allclose: this is asked hundreds of times a check."""

import math

import torch
from torch import Tensor

TOLERANCE = 1e-4


def close(ours: Tensor, theirs: Tensor) -> bool:
    """Say whether two tensors of one shape agree; not-a-number agrees with nothing."""
    if ours.numel() == 0:
        return True
    return is_small(largest(ours - theirs), theirs)


def largest(x: Tensor) -> float:
    """Return the largest size of a number, not-a-number if there is one."""
    return float(x.abs().max())


def is_small(gap: float, theirs: Tensor) -> bool:
    """Say whether a gap counts as rounding, by itself or beside the largest number."""
    return gap <= TOLERANCE or gap <= TOLERANCE * largest(theirs)


def close_in_parts(ours: Tensor, theirs: Tensor, sizes: list[int]) -> bool:
    """Say whether each part along the first axis is close by itself; none excuses another."""
    gaps = (ours - theirs).abs().flatten(1).amax(1).tolist()
    tops = theirs.abs().flatten(1).amax(1).tolist()
    start = 0
    for size in sizes:
        part = slice(start, start := start + size)
        limit = TOLERANCE * max(1.0, *tops[part])
        if not all(gap <= limit for gap in gaps[part]):  # no limit is above not-a-number
            return False
    return True


def agree(ours: object, theirs: Tensor) -> bool:
    """Say whether a fact is this tensor; not-a-number must stand in the same places."""
    if not isinstance(ours, Tensor) or ours.shape != theirs.shape:
        return False
    if not ours.is_floating_point():
        return False
    ours = ours.to(torch.float32)
    gap = largest(ours - theirs) if ours.numel() else 0.0
    if not math.isnan(gap):
        return is_small(gap, theirs)
    odd = theirs.isnan()
    return torch.equal(odd, ours.isnan()) and close(ours[~odd], theirs[~odd])


def worst(gap: Tensor) -> list[int]:
    """Return the place of the largest number (torch.unravel_index imports for a second)."""
    place: list[int] = []
    left = int(gap.argmax())
    for size in reversed(gap.shape):
        left, index = divmod(left, size)
        place.insert(0, index)
    return place
