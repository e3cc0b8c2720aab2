"""What was seen of an answer, and the one place where two such things are compared."""

import dis
import math
import reprlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.exercise import Fact, Observations
from cleanformer_lite.checks.session import LONGEST_TEXT, TimeLimitReached, error_text

MOST_BARS = 8
TOLERANCE = 1e-4
BY_TORCH = " (raised by torch)"


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Have torch draw the same numbers on the processor each time, and put its generator back."""
    # Not torch.manual_seed: it would reseed a GPU of the session too, and not put that back.
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)


def attempt(observed: Observations, key: str, call: Callable[[], object]) -> object:
    """Call, and write what it raises under `key.error`; returns None then.

    Nothing escapes that would end the reader's session, SystemExit and GeneratorExit neither; only
    an interrupt by the reader and the time limit do.
    """
    try:
        return call()
    except (KeyboardInterrupt, TimeLimitReached):
        raise
    except BaseException as error:
        observed[f"{key}.error"] = error_text(error) + BY_TORCH * _raised_by_torch(error)
        return None


def _raised_by_torch(error: BaseException) -> bool:
    """Say whether an error of the kind that a starter raises comes from torch's own code."""
    frame = error.__traceback__ if isinstance(error, NotImplementedError) else None
    if frame is None:
        return False
    while frame.tb_next is not None:
        frame = frame.tb_next
    code = frame.tb_frame.f_code
    raises = code.co_code[frame.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    module = str(frame.tb_frame.f_globals.get("__name__", ""))
    return not raises or module.partition(".")[0] == "torch"


def is_stub(error: object) -> bool:
    """Say whether an error is that of a starter which nobody has filled in."""
    if not isinstance(error, str) or error.endswith(BY_TORCH):
        return False
    return error.startswith("NotImplementedError")


def record(observed: Observations, key: str, value: object, depth: int = 0) -> None:
    """Write a returned value under `key`, taking tuples, lists and dicts apart."""
    if isinstance(value, Tensor):
        observed[key] = value.detach().clone()
    elif isinstance(value, bool | int | float | str):
        observed[key] = value[:LONGEST_TEXT] if isinstance(value, str) else value
    elif isinstance(value, tuple | list) and depth < 3:
        observed[f"{key}.length"] = len(value)
        for index, item in enumerate(value[:16]):
            record(observed, f"{key}.{index}", item, depth + 1)
    elif isinstance(value, dict) and depth < 3:
        observed[f"{key}.length"] = len(value)
        for name, item in list(value.items())[:16]:
            record(observed, f"{key}.{name}", item, depth + 1)
    elif value is None:
        observed[f"{key}.none"] = True
    else:
        observed[f"{key}.kind"] = type(value).__name__[:LONGEST_TEXT]


def restored(observed: Observations, key: str) -> object:
    """Put back together what `record` took apart; dictionaries keep their keys."""
    if key in observed:
        return observed[key]
    if f"{key}.none" in observed:
        return None
    parts = dict.fromkeys(name[len(key) + 1 :].partition(".")[0] for name in below(observed, key))
    parts.pop("length", None)
    values = {name: restored(observed, f"{key}.{name}") for name in parts}
    return tuple(values.values()) if all(name.isdigit() for name in values) else values


def below(observed: Observations, key: str) -> Observations:
    """Return what was observed at `key` and under it."""
    return {k: v for k, v in observed.items() if k == key or k.startswith(f"{key}.")}


def same(ours: Fact | None, theirs: Fact | None, tolerance: float = TOLERANCE) -> bool:
    """Say whether two values agree: kind and shape exactly, numbers closely, NaN with NaN."""
    if isinstance(theirs, Tensor):
        return isinstance(ours, Tensor) and same_tensors(ours, theirs, tolerance)
    if isinstance(ours, Tensor) or isinstance(ours, bool) != isinstance(theirs, bool):
        return False
    if isinstance(theirs, int | float) and isinstance(ours, int | float):
        return ours == theirs or abs(ours - theirs) <= tolerance * max(1.0, abs(theirs))
    return type(ours) is type(theirs) and ours == theirs


def same_tensors(ours: Tensor, theirs: Tensor, tolerance: float = TOLERANCE) -> bool:
    """Compare two tensors of any dtype by value; shapes must be equal."""
    if ours.shape != theirs.shape or ours.is_complex() or theirs.is_complex():
        return False
    if torch.float16 in (ours.dtype, theirs.dtype):
        tolerance = 2e-3  # it keeps three digits
    left, right = ours.to(torch.float64), theirs.to(torch.float64)
    odd = ~right.isfinite()  # there the two have to be alike, not close
    if not torch.equal(odd, ~left.isfinite()) or not alike(left[odd], right[odd]):
        return False
    left, right = left[~odd], right[~odd]
    # Against the largest number: the small ones of a sum carry the rounding of the large ones.
    scale = max(1.0, float(right.abs().max())) if right.numel() else 1.0
    return bool(((left - right).abs() <= tolerance * scale).all())


def alike(left: Tensor, right: Tensor) -> bool:
    """Compare numbers that are none: infinities by sign, not-a-number with itself."""
    return torch.equal(left.nan_to_num(0.5, 1.0, -1.0), right.nan_to_num(0.5, 1.0, -1.0))


def agree(observed: Observations, expected: Observations, key: str) -> bool:
    """Say whether everything at `key` and under it agrees, and nothing is missing or added."""
    ours, theirs = below(observed, key), below(expected, key)
    return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in theirs)


def paired(yours: object, target: object) -> tuple[tuple[float, float], ...]:
    """Pair the numbers of two values for a picture; none unless both are a few finite numbers."""
    pair = [
        torch.as_tensor(value) for value in (yours, target) if isinstance(value, Tensor | float)
    ]
    if len(pair) != 2 or pair[0].numel() != pair[1].numel() or pair[0].numel() > MOST_BARS:
        return ()
    if any(value.is_complex() or not value.isfinite().all() for value in pair):
        return ()
    left, right = (value.flatten().tolist() for value in pair)
    return tuple((float(mine), float(wanted)) for mine, wanted in zip(left, right, strict=True))


def shown(value: object) -> str:
    """Write a fact so that it can be checked by hand."""
    if isinstance(value, Tensor):
        return shown_tensor(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value):
        return ("[{}]" if isinstance(value, list) else "({})").format(", ".join(map(shown, value)))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown(item)}" for name, item in value.items()) + "}"
    if isinstance(value, nn.Module):
        return f"a {type(value).__name__}"
    return reprlib.repr(value)


def shown_tensor(value: Tensor) -> str:
    """Write a tensor as nested lists of short numbers; a large one as its shape alone."""
    if value.numel() > 16:
        return f"a tensor of shape {tuple(value.shape)}"
    return str(rounded(value.tolist())).replace("'", "")


def rounded(value: object) -> object:
    """Shorten every number in nested lists."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return f"{value:.3g}" if isinstance(value, float) else value


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


def matches(ours: object, theirs: Tensor) -> bool:
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
