"""Compare observed values with right ones, and write both for a reader."""

import math
import reprlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.observations import CaseOutcome, Listed, Named, Other, Value

MOST_BARS = 8
NAN = "NaN"
TOLERANCE = 1e-4
_MOST_TEXT = 40  # characters of two errors that must agree; the rest may name sizes
Returned = dict[str, Value]


@dataclass(frozen=True, eq=False)
class Difference:
    """Where two results differ first; `yours` is None where there is nothing of this kind."""

    where: str
    yours: Value | int | None
    target: Value | int


def same_outcome(ours: CaseOutcome, theirs: CaseOutcome) -> bool:
    """Say whether two outcomes agree in values, arguments and gradients."""
    return same_values(ours, theirs) and same_gradients(ours, theirs)


def same_values(ours: CaseOutcome, theirs: CaseOutcome) -> bool:
    """Say whether results and arguments afterwards agree, or both raise the same error."""
    if ours.error is not None or theirs.error is not None:
        return ours.error == theirs.error
    return same(ours.result, theirs.result) and same_by_name(ours.after, theirs.after)


def same_or_raise_alike(ours: CaseOutcome, theirs: CaseOutcome, by_kind: bool = False) -> bool:
    """Say whether values agree, or errors agree in their beginning, or `by_kind` alone."""
    if ours.error is not None and theirs.error is not None:
        mine, wanted = ours.error.text, theirs.error.text
        if by_kind:
            return mine.partition(":")[0] == wanted.partition(":")[0]
        return mine[:_MOST_TEXT] == wanted[:_MOST_TEXT]
    return same_values(ours, theirs)


def same_gradients(ours: CaseOutcome, theirs: CaseOutcome) -> bool:
    """Say whether gradients agree, or the error that came in their place."""
    return ours.gradient_error == theirs.gradient_error and same_by_name(
        ours.gradients, theirs.gradients
    )


def same_by_name(ours: Returned, theirs: Returned) -> bool:
    """Say whether named values agree, and none is missing or added."""
    return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in theirs)


def same(ours: Value | None, theirs: Value | None) -> bool:
    """Say whether two values agree: kind and shape exactly, numbers closely, NaN with NaN."""
    if isinstance(theirs, Listed) and isinstance(ours, Listed):
        pairs = zip(ours.items, theirs.items, strict=False)
        as_long = len(ours.items) == len(theirs.items) and ours.length == theirs.length
        return as_long and all(same(mine, wanted) for mine, wanted in pairs)
    if isinstance(theirs, Named) and isinstance(ours, Named):
        return ours.length == theirs.length and same_by_name(ours.items, theirs.items)
    if isinstance(theirs, Listed | Named) or isinstance(ours, Listed | Named):
        return False
    return _same_leaves(ours, theirs)


def _same_leaves(ours: Value | None, theirs: Value | None) -> bool:
    if isinstance(theirs, Tensor):
        return isinstance(ours, Tensor) and same_tensors(ours, theirs)
    if isinstance(ours, Tensor) or isinstance(ours, bool) != isinstance(theirs, bool):
        return False
    if isinstance(theirs, int | float) and isinstance(ours, int | float):
        return ours == theirs or abs(ours - theirs) <= TOLERANCE * max(1.0, abs(theirs))
    return type(ours) is type(theirs) and ours == theirs


def same_tensors(ours: Tensor, theirs: Tensor) -> bool:
    """Compare two tensors of any dtype by value; shapes must be equal."""
    if ours.shape != theirs.shape or ours.is_complex() or theirs.is_complex():
        return False
    # Half precision keeps three digits.
    tolerance = 2e-3 if torch.float16 in (ours.dtype, theirs.dtype) else TOLERANCE
    left, right = ours.to(torch.float64), theirs.to(torch.float64)
    odd = ~right.isfinite()  # there the two have to be alike, not close
    if not torch.equal(odd, ~left.isfinite()) or not alike(left[odd], right[odd]):
        return False
    left, right = left[~odd], right[~odd]
    # Against the largest number: the small ones of a sum carry the rounding of the large ones.
    scale = max(1.0, float(right.abs().max())) if right.numel() else 1.0
    return bool(((left - right).abs() <= tolerance * scale).all())


def alike(left: Tensor, right: Tensor) -> bool:
    """Compare infinities by sign, and NaN with NaN."""
    return torch.equal(left.nan_to_num(0.5, 1.0, -1.0), right.nan_to_num(0.5, 1.0, -1.0))


def first_difference(ours: CaseOutcome, theirs: CaseOutcome) -> Difference | None:
    """Find where two outcomes differ first: in the result, the arguments, or the gradients."""
    assert theirs.result is not None
    found = _difference("result", ours.result, theirs.result)
    for name, mine, wanted in (
        ("after", ours.after, theirs.after),
        ("gradient", ours.gradients, theirs.gradients),
    ):
        found = found or _difference_by_name(name, mine, wanted)
    return found


def _difference(where: str, ours: Value | None, theirs: Value) -> Difference | None:
    """Find where two values differ first, looking into lists and dictionaries."""
    if isinstance(theirs, Listed | Named):
        if not isinstance(ours, Listed | Named):
            return Difference(where, None, theirs)
        if ours.length != theirs.length:
            return Difference(f"{where}.length", ours.length, theirs.length)
        return _difference_by_name(where, _by_name(ours), _by_name(theirs))
    if same(ours, theirs):
        return None
    is_part = isinstance(ours, Listed | Named | Other) or isinstance(theirs, Other)
    return Difference(where, None if is_part else ours, theirs)


def _difference_by_name(where: str, ours: Returned, theirs: Returned) -> Difference | None:
    found = (_difference(f"{where}.{name}", ours.get(name), theirs[name]) for name in theirs)
    return next((each for each in found if each is not None), None)


def _by_name(value: Listed | Named) -> Returned:
    if isinstance(value, Named):
        return value.items
    return {str(index): item for index, item in enumerate(value.items)}


def paired(yours: object, target: object) -> tuple[tuple[float, float], ...]:
    """Pair the numbers of two values for a picture; empty unless both are a few finite numbers."""
    pair = [
        torch.as_tensor(value) for value in (yours, target) if isinstance(value, Tensor | float)
    ]
    if len(pair) != 2 or pair[0].numel() != pair[1].numel() or pair[0].numel() > MOST_BARS:
        return ()
    if any(value.is_complex() or not value.isfinite().all() for value in pair):
        return ()
    left, right = (value.flatten().tolist() for value in pair)
    return tuple((float(mine), float(wanted)) for mine, wanted in zip(left, right, strict=True))


def restored(value: Value | None) -> object:
    """Rebuild a value that was taken apart to be recorded."""
    if isinstance(value, Listed):
        return tuple(restored(item) for item in value.items)
    if isinstance(value, Named):
        return {name: restored(item) for name, item in value.items.items()}
    return None if isinstance(value, Other) and value.is_none else value


def shown(value: object) -> str:
    """Write a value so that it can be checked by hand."""
    if isinstance(value, Tensor):
        return shown_tensor(value)
    if isinstance(value, float):
        return NAN if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value):
        return ("[{}]" if isinstance(value, list) else "({})").format(", ".join(map(shown, value)))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown(item)}" for name, item in value.items()) + "}"
    if isinstance(value, nn.Module):
        says_more = type(value).__repr__ is not nn.Module.__repr__
        return repr(value) if says_more else f"a {type(value).__name__}"
    if isinstance(value, Other):
        return repr(value)
    return reprlib.repr(value)


def shown_tensor(value: Tensor) -> str:
    """Write a tensor as nested lists of short numbers; a large one as its shape alone."""
    if value.numel() > 16:
        return f"a tensor of shape {tuple(value.shape)}"
    if value.dim() == 0 and bool(value.isnan()):
        return NAN
    return str(rounded(value.tolist())).replace("'", "").replace("nan", NAN)


def shown_beside(target: object) -> str:
    """Write what was wanted; it may hold NaN if it is another result of the answer."""
    if not isinstance(target, Tensor) or not bool(target.isnan().any()):
        return shown(target)
    return "a number" if target.numel() == 1 else "numbers"


def shown_both(yours: object, target: object) -> tuple[str, str]:
    """Write what came and what was wanted; if both look alike, say by how much they differ."""
    texts = shown(yours), shown_beside(target)
    if texts[0] != texts[1] or not isinstance(yours, Tensor) or not isinstance(target, Tensor):
        return texts
    if yours.shape != target.shape or yours.numel() == 0:
        return texts
    gap = float((yours.double() - target.double()).abs().max())
    return f"{texts[0]}, off by {gap:.1g}", texts[1]


def rounded(value: object) -> object:
    """Shorten every number in nested lists."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return f"{value:.3g}" if isinstance(value, float) else value


def close(ours: Tensor, theirs: Tensor) -> bool:
    """Say whether two tensors of one shape agree; NaN agrees with nothing."""
    if ours.numel() == 0:
        return True
    return is_small(largest(ours - theirs), theirs)


def largest(x: Tensor) -> float:
    """Return the largest absolute value, NaN if there is one."""
    return float(x.abs().max())


def is_small(gap: float, theirs: Tensor) -> bool:
    """Say whether a gap counts as rounding, absolutely or relative to the largest number."""
    return gap <= TOLERANCE or gap <= TOLERANCE * largest(theirs)


def close_in_parts(ours: Tensor, theirs: Tensor, sizes: list[int]) -> bool:
    """Say whether each part along the first axis is close, each relative to its own numbers."""
    gaps = (ours - theirs).abs().flatten(1).amax(1).tolist()
    tops = theirs.abs().flatten(1).amax(1).tolist()
    start = 0
    for size in sizes:
        part = slice(start, start := start + size)
        limit = TOLERANCE * max(1.0, *tops[part])
        if not all(gap <= limit for gap in gaps[part]):  # no limit is above NaN
            return False
    return True


def matches(ours: object, theirs: Tensor) -> bool:
    """Say whether a value is this tensor, with NaN at the same indices."""
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
    """Return the index of the largest number (torch.unravel_index imports for a second)."""
    where: list[int] = []
    left = int(gap.argmax())
    for size in reversed(gap.shape):
        left, index = divmod(left, size)
        where.insert(0, index)
    return where
