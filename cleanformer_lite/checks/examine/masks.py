"""Find out how a module wants its masks, and whether it does with them what masks are for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.examine.bench import (
    TOLERANCE,
    Bench,
    NotAskedError,
    differ,
    short,
)
from cleanformer_lite.checks.examine.influence import influence
from cleanformer_lite.checks.examine.known import named, worst
from cleanformer_lite.checks.examine.questions import Examination
from cleanformer_lite.checks.examine.trace import cores, watch

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
    """What a form did to the token that it was to hide: how far it still moves the others."""

    form: Form
    left: float
    before: float
    changes: bool


@torch.no_grad()
def try_form(bench: Bench, form: Form, heads: int, hidden: int) -> Tried:
    """Hide one token from all queries, and see who still reads it."""
    allowed = everything(bench)
    free = {form.name: form.make(allowed, heads)}
    allowed[:, :, hidden] = False
    used = {form.name: form.make(allowed, heads)}
    other = bench.changed(hidden)
    last = bench.changed(bench.keys - 1)
    plain, moved = (bench.tokens(bench.call(x, **free).output) for x in (None, other))
    masked, left = (bench.tokens(bench.call(x, **used).output) for x in (None, other))
    rest = bench.tokens(bench.call(last, **used).output)
    rows = [row for row in range(plain.shape[1]) if row != hidden or bench.is_cross]
    top = max(float(plain.nan_to_num().abs().max()), 1e-3)

    def gap(ours: Tensor, theirs: Tensor) -> float:
        step = (ours - theirs)[:, rows].abs()
        return float(step.nan_to_num(0.0 if form.says == "add" else torch.inf).max()) / top

    reads_others = gap(rest, masked) > TOLERANCE or bench.keys < 3
    return Tried(
        form,
        gap(left, masked) if reads_others else float("inf"),  # all is hidden: not what it says
        gap(moved, plain),
        differ(masked, plain, plain),
    )


def asks_masks(exam: Examination) -> bool | None:
    """Ask about every mask that a module takes."""
    bench = exam.bench
    names = mask_names(bench)
    if not names:
        raise NotAskedError("it takes none")
    held = []
    for name in names:
        found = _find_form(exam, name)
        if found is not None:
            held.append(_ask_one(exam, found))
    if not held:
        return None
    return all(held)


def _find_form(exam: Examination, name: str) -> Form | None:
    """Find the form in which a mask hides a key; what is wrong with it if there is none."""
    bench, heads = exam.bench, exam.heads
    hidden = min(1, bench.keys - 1)
    tried: list[Tried] = []
    error = ""
    for form in forms(bench, name):
        if exam.expect.mask is not None and form.says != exam.expect.mask and form.says != "add":
            continue
        try:
            result = try_form(bench, form, heads, hidden)
        except Exception as failed:
            error = short(failed, 80)
            continue
        tried.append(result)
        hides = result.before > TOLERANCE and result.left <= TOLERANCE
        if hides and _means_what_it_says(bench, result):
            exam.report.notes.append(f"mask: {form}")
            return form
    label = name
    if _says_the_other(exam, label, tried, hidden):
        return None
    usable = [t for t in tried if t.before > TOLERANCE]
    if not usable:
        reason = f": {error}" if error else ""
        exam.report.unknown.append(f"{label} (no form of it was taken{reason})")
        return None
    _say_why(exam, label, usable, hidden)
    return None


def _says_the_other(exam: Examination, label: str, tried: list[Tried], hidden: int) -> bool:
    """Say so if a mask hides what it is declared to keep."""
    meant = exam.expect.mask
    if meant not in ("keep", "block"):
        return False
    other = "block" if meant == "keep" else "keep"
    for t in tried:
        if t.form.says != meant:
            continue
        form = Form(t.form.name, t.form.shape, t.form.dtype, other)
        try:
            turned = try_form(exam.bench, form, exam.heads, hidden)
        except Exception:
            continue
        if turned.before > TOLERANCE and turned.left <= TOLERANCE:
            exam.bug(
                named(
                    "mask_inverted",
                    f"{label} says {MEANING[other]}",
                    tried=f"one token told apart from the rest ({form})",
                    yours=MEANING[other],
                    target=MEANING[meant],
                )
            )
            return True
    return False


def _say_why(exam: Examination, label: str, tried: list[Tried], hidden: int) -> None:
    """Say what a mask does that hides no key in any form."""
    bench = exam.bench
    if not any(t.changes for t in tried):
        if not _is_free(bench, tried[0]):
            exam.report.unknown.append(
                f"{label} (what stands in it is not read, that it is given is)"
            )
            return
        exam.bug(
            named(
                "mask_ignored",
                f"{label} changes nothing",
                tried=f"{label} hides token {hidden}",
                yours="the output of no mask",
                target="an output without that token",
            )
        )
        return
    tried = [t for t in tried if t.changes and _is_free(bench, t)] or tried
    least = min(tried, key=lambda t: t.left if t.changes else float("inf"))
    if _hides_rows(bench, least.form, exam.heads, hidden):
        exam.bug(
            named(
                "mask_on_queries",
                f"{label} changes what a hidden token reads, not who reads it",
                tried=f"token {hidden} hidden ({least.form})",
                yours="only its own row changes",
                target="every other row",
            )
        )
        return
    if least.left == float("inf"):
        exam.report.unknown.append(f"{label} (no form of it hid one token alone)")
        return
    if (
        isinstance(bench.kwargs.get(label), Tensor)
        or exam.expect.mask
        or (least.changes and _is_free(bench, least))
    ):
        share = least.left / max(least.before, 1e-9)
        case = {
            "tried": f"token {hidden} hidden and changed ({least.form})",
            "yours": f"others move by {share:.0%} of what they move without the mask",
            "target": "by nothing",
        }
        what = f"a token that {label} hides is still read"
        exam.bug(named(_name_the_leak(exam, least.form, hidden), what, **case))
    else:
        exam.report.unknown.append(f"{label} (no form of it hid a token)")


@torch.no_grad()
def _means_what_it_says(bench: Bench, tried: Tried) -> bool:
    """Say whether a mask that allows everything is as good as none, however it is written."""
    form = tried.form
    if isinstance(bench.kwargs.get(form.name), Tensor) or _is_free(bench, tried):
        return True
    if form.says != "add":
        return False
    zeros = form.make(everything(bench))
    ours, theirs = (bench.call(**{form.name: mask}).output for mask in (zeros, zeros + 1.0))
    return not differ(ours, theirs, theirs)  # a softmax does not see a shift


@torch.no_grad()
def _is_free(bench: Bench, tried: Tried) -> bool:
    """Say whether the mask that allows everything does what no mask does."""
    form = tried.form
    free = {form.name: form.make(everything(bench))}
    without = {form.name: None}
    try:
        ours, theirs = bench.call(**free).output, bench.call(**without).output
    except Exception:
        return False
    return not differ(ours, theirs, theirs)


def _name_the_leak(exam: Examination, form: Form, hidden: int) -> str:
    """Name what is done with a mask, from the scores that go into the softmax."""
    bench = exam.bench
    allowed = everything(bench)
    seen = []
    for hide in (False, True):
        allowed[:, :, hidden] = not hide
        named_mask = {form.name: form.make(allowed, exam.heads)}
        _, watched = watch(lambda used=named_mask: bench.call(bench.source, **used))  # type: ignore[misc]
        found = cores(watched.events, bench.length, bench.keys)
        if not found or found[0].scores is None:
            return "masked_keys_leak"
        seen.append(found[0].scores.detach()[..., hidden])
    before, after = seen
    if before.shape != after.shape:
        return "masked_keys_leak"
    step = after - before
    if torch.allclose(before, after, atol=1e-6):
        return "mask_after_softmax"
    if not bool(after.any()):
        return "mask_multiplied"
    if bool((step - step.mean()).abs().max() < 1e-4):
        return "mask_added" if abs(float(step.mean())) <= 1 else "fill_too_weak"
    return (
        "fill_too_weak" if bool((after - after.mean()).abs().max() < 1e-4) else "masked_keys_leak"
    )


@torch.no_grad()
def _hides_rows(bench: Bench, form: Form, heads: int, hidden: int) -> bool:
    """Say whether hiding a token changes its own row and no other."""
    if bench.is_cross:
        return False
    allowed = everything(bench)
    plain = bench.tokens(bench.call(**{form.name: form.make(allowed, heads)}).output)
    allowed[:, :, hidden] = False
    used = bench.tokens(bench.call(**{form.name: form.make(allowed, heads)}).output)
    rows = [row for row in range(plain.shape[1]) if row != hidden]
    return not differ(used[:, rows], plain[:, rows], plain) and differ(
        used[:, hidden], plain[:, hidden], plain
    )


def _ask_one(exam: Examination, form: Form) -> bool:
    """Ask all about one mask in the form that hides a key."""
    found = len(exam.report.findings)
    for question in (_rows_are_whole, _samples_have_their_own, _pairs_are_not_turned, _blind_rows):
        try:
            question(exam, form)
        except Exception as error:
            exam.report.unknown.append(f"{question.__doc__} ({short(error, 60)})")
    return len(exam.report.findings) == found


@torch.no_grad()
def _rows_are_whole(exam: Examination, form: Form) -> None:
    """what is left of the weights sums to one"""
    bench = exam.bench
    alike = bench.source.clone()
    view = bench.tokens(alike)
    view[:] = view[:, :1].clone()
    allowed = everything(bench)
    free = bench.tokens(bench.call(alike, **{form.name: form.make(allowed, exam.heads)}).output)
    if not bench.is_cross and differ(free[:, 1:], free[:, :1].expand_as(free[:, 1:]), free):
        return  # positions stand in the values: tokens are never alike
    allowed[:, :, min(1, bench.keys - 1)] = False
    used = bench.tokens(bench.call(alike, **{form.name: form.make(allowed, exam.heads)}).output)
    if not bench.is_cross:  # what a hidden token gets itself is another question
        used[:, min(1, bench.keys - 1)] = free[:, min(1, bench.keys - 1)]
    if not differ(used, free, free):
        return
    where, yours, target = worst(used, free)
    exam.bug(
        named(
            "mask_after_softmax",
            "with a mask the weights of a query no longer sum to 1",
            tried=f"equal tokens, one hidden ({form}), output{where}",
            yours=yours,
            target=target,
        )
    )


@torch.no_grad()
def _samples_have_their_own(exam: Examination, form: Form) -> None:
    """each sample gets its own mask"""
    bench = exam.bench
    if bench.batch < 2 or form.shape == "pair" or bench.keys < 3:
        return
    allowed = everything(bench)
    allowed[0, :, 1] = False
    used = {form.name: form.make(allowed, exam.heads)}
    before = bench.tokens(bench.call(**used).output)
    after = bench.tokens(bench.call(bench.changed(1), **used).output)
    rows = [row for row in range(before.shape[1]) if row != 1 or bench.is_cross]
    leaks = differ(after[0, rows], before[0, rows], before)
    free = bench.tokens(bench.call(**{form.name: form.make(everything(bench), exam.heads)}).output)
    moved = differ(before[1:], free[1:], free)
    if leaks or moved:
        exam.bug(
            named(
                "mask_repeat_order",
                "a sample's mask falls on another sample",
                tried=f"token 1 hidden in sample 0 alone ({form})",
                yours="sample 0 reads it" if leaks else "sample 1 changes",
                target="sample 0 does not read it, and no other changes",
            )
        )


@torch.no_grad()
def _pairs_are_not_turned(exam: Examination, form: Form) -> None:
    """rows of a mask are queries and its columns are keys"""
    bench = exam.bench
    if not form.is_pair or bench.is_cross or bench.keys < 3:
        return
    allowed = everything(bench)
    allowed[:, 2, 1] = False
    used: dict[str, Any] = {form.name: form.make(allowed, exam.heads)}
    moved, chosen = influence(bench, **used)
    free: dict[str, Any] = {form.name: form.make(everything(bench), exam.heads)}
    base, _ = influence(bench, **free)
    column = chosen.index(1)
    if float(base[2, column]) > TOLERANCE and float(moved[2, column]) > TOLERANCE:
        exam.bug(
            named(
                "mask_on_queries",
                "rows and columns of the mask are exchanged",
                tried=f"query 2 may not read key 1 ({form})",
                yours="it reads it",
                target="it does not",
            )
        )


@torch.no_grad()
def _blind_rows(exam: Examination, form: Form) -> None:
    """a query that may attend to nothing"""
    bench = exam.bench
    allowed = everything(bench)
    allowed[0] = False
    used = {form.name: form.make(allowed, exam.heads)}
    output = bench.tokens(bench.call(**used).output)[0]
    if bool(output.isnan().any()):
        says = "NaN"
    else:
        free = {form.name: form.make(everything(bench), exam.heads)}
        first = bench.tokens(bench.call(**used).output)[0]
        again = bench.tokens(bench.call(bench.changed(bench.keys - 1), **used).output)[0]
        del free
        rows = slice(0, 1)
        says = "a mean of the tokens" if differ(first[rows], again[rows], first) else "no token"
    exam.report.notes.append(f"a query that may attend to nothing gets {says}")


def mask_and_causal(exam: Examination) -> bool | None:
    """Ask whether a mask and causality both count."""
    bench = exam.bench
    if bench.is_cross or bench.length < 3:
        raise NotAskedError("asked of self-attention on three tokens or more")
    if isinstance(bench.module, nn.MultiheadAttention):
        raise NotAskedError("its is_causal is a hint that a causal mask is given")
    flag = next((name for name in bench.names if name in FLAGS), None)
    is_built_in = "no token reads a later one" in exam.report.holds
    if flag is None and not is_built_in:
        raise NotAskedError("it takes no causal flag")
    given = {} if is_built_in else {str(flag): True}
    alone, chosen = influence(bench, **given)
    upper = torch.tensor(chosen)[None] > torch.arange(len(alone))[:, None]
    own = torch.tensor(chosen)[None] == torch.arange(len(alone))[:, None]
    if bool((alone[upper] > TOLERANCE).any()) or bool((alone[own] <= TOLERANCE).any()):
        _say_flag(exam, str(flag), alone > TOLERANCE, upper, chosen)
        return None
    words = f"{flag}=True" if given else "causal as built"
    used = [
        form
        for name in mask_names(bench)
        for form in forms(bench, name)
        if any(str(form) in note for note in exam.report.notes)
    ]
    if is_built_in:
        carried = [form for form in used if form.is_pair or form.shape == "key4"]
        if carried:
            raise NotAskedError(f"{carried[0].name} may carry the causality itself")
    return all(_counts_both(exam, form, words, given, upper, chosen) for form in used)


def _say_flag(
    exam: Examination, flag: str, reads: Tensor, upper: Tensor, chosen: list[int]
) -> None:
    """Say what a causal flag does that does not hide the future, or hides too much."""
    places = (reads & upper).nonzero()
    row, column = (int(i) for i in places[0]) if len(places) else (0, 0)
    earlier = torch.tensor(chosen)[None] < torch.arange(len(reads))[:, None]
    only_later = not bool((reads & earlier).any()) and not bool(reads[-1].any())
    late = bool(len(places))
    exam.bug(
        named(
            "mask_inverted" if only_later else "causal_mask_shifted",
            f"{flag}=True does not hide the future"
            if late
            else f"{flag}=True hides a token itself",
            tried=f"{flag}=True, token {chosen[column]} changed",
            yours=f"output {row} moves" if late else "its own output stays",
            target=f"output {row} stays" if late else "its own output moves",
        )
    )


def _counts_both(
    exam: Examination,
    form: Form,
    words: str,
    given: dict[str, Any],
    upper: Tensor,
    chosen: list[int],
) -> bool:
    """Say whether a mask and causality both hide what they hide alone."""
    bench = exam.bench
    allowed = everything(bench)
    allowed[:, :, 1] = False
    both, _ = influence(bench, **{**given, form.name: form.make(allowed, exam.heads)})
    rows = [row for row in range(len(both)) if row != 1]
    lost = bool((both[upper] > TOLERANCE).any())
    dropped = 1 in chosen and bool((both[rows, chosen.index(1)] > TOLERANCE).any())
    if not lost and not dropped:
        return True
    exam.bug(
        named(
            "causal_mask_shifted",
            f"{'the mask' if dropped else 'causality'} is forgotten when both are given",
            tried=f"{form} hides token 1; {words}",
            yours="token 1 is read" if dropped else "a later token is read",
            target="neither is",
        )
    )
    return False
