"""The forms in which masks are handed over, and what each does to the token that it hides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cleanformer_lite.checks.examination.bench import (
    TOLERANCE,
    Bench,
    differ,
)

WORDS = ("mask", "padding")


# Masks of something else than keys: of heads, of queries, of memories, of other calls.
OF_OTHERS = ("head_mask", "type", "token", "return", "block", "query", "value", "mem", "prefix")


OF_CONTEXT = ("context", "encoder", "cross", "memory", "mem")


FLAGS = ("is_causal", "causal", "use_causal_mask")


SHAPES = ("key", "key4", "pair", "pair4", "pair3", "per head")


MEANING = {"keep": "True = may attend", "block": "True = blocked", "add": "added to the scores"}


@dataclass(frozen=True)
class Form:
    """One way to hand a mask over: the argument, its shape, its dtype, and what it says.

    `says` is "keep" (True may attend), "block" (True may not), or "add" (a number for the scores).
    """

    name: str
    shape: str
    dtype: torch.dtype
    says: str

    def make(self, allowed: Tensor, heads: int = 1) -> Tensor:
        """Write `(N, L, S)`, True where a query may attend, in this form."""
        if self.shape == "key":
            shaped = allowed[:, 0]
        elif self.shape == "key4":
            shaped = allowed[:, None, :1]
        elif self.shape == "pair":
            shaped = allowed[0]
        elif self.shape == "pair4":
            shaped = allowed[:, None]
        else:
            shaped = allowed if self.shape == "pair3" else allowed.repeat_interleave(heads, 0)
        if self.says == "add":
            low = torch.finfo(self.dtype).min
            return torch.zeros(shaped.shape, dtype=self.dtype).masked_fill(~shaped, low)
        return (shaped if self.says == "keep" else ~shaped).to(self.dtype, copy=True)

    @property
    def is_pair(self) -> bool:
        return self.shape.startswith("pair") or self.shape == "per head"

    def __str__(self) -> str:
        shapes = {
            "key": "(N, S)",
            "key4": "(N, 1, 1, S)",
            "pair": "(L, S)",
            "pair4": "(N, 1, L, S)",
            "pair3": "(N, L, S)",
            "per head": "(N * H, L, S)",
        }
        return f"{self.name} {shapes[self.shape]} {str(self.dtype)[6:]}, {MEANING[self.says]}"


def mask_names(bench: Bench) -> list[str]:
    """List the arguments that are masks of keys, by their names."""
    others = OF_OTHERS[:-2] if bench.is_cross else (*OF_OTHERS, *OF_CONTEXT)
    names = dict.fromkeys([*bench.names, *bench.kwargs])
    return [
        name
        for name in names
        if any(word in name.lower() for word in WORDS)
        and not any(word in name.lower() for word in others)
        and name not in FLAGS
        and not name.startswith("is_")
    ]


def forms(bench: Bench, name: str) -> Iterator[Form]:
    """Yield the forms worth trying, likeliest first; a mask that came with the call has one."""
    given = bench.kwargs.get(name)
    if isinstance(given, Tensor):
        shape = _shape_of(given, bench)
        if shape is not None:
            for says in _sayings(given.dtype):
                yield Form(name, shape, given.dtype, says)
        return
    shapes = (
        ("key", "key4") if "pad" in name else ("pair4", "pair", "key", "key4", "pair3", "per head")
    )
    for shape in shapes:
        for dtype, says in ((torch.bool, "keep"), (torch.bool, "block"), (bench.x.dtype, "add")):
            yield Form(name, shape, dtype, says)


def _sayings(dtype: torch.dtype) -> tuple[str, ...]:
    if dtype == torch.bool:
        return ("keep", "block")
    return ("add", "keep", "block") if dtype.is_floating_point else ("keep", "block")


def _shape_of(mask: Tensor, bench: Bench) -> str | None:
    batch, length, keys = bench.batch, bench.length, bench.keys
    shapes = {
        (batch, keys): "key",
        (batch, 1, 1, keys): "key4",
        (length, keys): "pair",
        (batch, 1, length, keys): "pair4",
        (batch, length, keys): "pair3",
        (1, 1, length, keys): "pair4",
        (1, length, keys): "pair3",
        (1, 1, 1, keys): "key4",
        (1, keys): "key",
    }
    return shapes.get(tuple(mask.shape))


def everything(bench: Bench) -> Tensor:
    """Allow all: `(N, L, S)`."""
    return torch.ones(bench.batch, bench.length, bench.keys, dtype=torch.bool)


@dataclass
class Tried:
    """What a form did to the token that it was to hide: how far it still moves the others.

    `spoils` says that numbers are lost: what other tokens get is no longer finite.
    """

    form: Form
    left: float
    before: float
    changes: bool
    spoils: bool = False


@torch.no_grad()
def try_form(bench: Bench, form: Form, heads: int, hidden: int) -> Tried:
    """Hide one token from all queries, and see who still reads it."""
    allowed = everything(bench)
    free = {form.name: form.make(allowed, heads)}
    allowed[:, :, hidden] = False
    used = {form.name: form.make(allowed, heads)}
    other = bench.changed(hidden)
    last = bench.changed(bench.keys - 1)
    unmasked, changed = (bench.tokens(bench.call(x, **free).output) for x in (None, other))
    masked, left = (bench.tokens(bench.call(x, **used).output) for x in (None, other))
    rest = bench.tokens(bench.call(last, **used).output)
    others = [row for row in range(unmasked.shape[1]) if row != hidden or bench.is_cross]
    top = max(float(unmasked.nan_to_num().abs().max()), 1e-3)

    def gap(ours: Tensor, theirs: Tensor) -> float:
        step = (ours - theirs)[:, others].abs()
        return float(step.nan_to_num(0.0 if form.says == "add" else torch.inf).max()) / top

    reads_others = gap(rest, masked) > TOLERANCE or bench.keys < 3
    return Tried(
        form,
        gap(left, masked) if reads_others else float("inf"),  # all is hidden: not what it says
        gap(changed, unmasked),
        differ(masked, unmasked, unmasked),
        bool(unmasked.isfinite().all()) and not bool(masked[:, others].isfinite().all()),
    )
