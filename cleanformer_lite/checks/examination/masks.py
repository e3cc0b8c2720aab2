"""Find out how a module wants its masks, and whether it does with them what masks are for."""

from __future__ import annotations

from typing import Any

import torch

from cleanformer_lite.checks.examination.bench import (
    TOLERANCE,
    differ,
)
from cleanformer_lite.checks.examination.errors import NotAskedError, short
from cleanformer_lite.checks.examination.influence import influence
from cleanformer_lite.checks.examination.known import named
from cleanformer_lite.checks.examination.leaks import means_what_it_says, say_why
from cleanformer_lite.checks.examination.mask_forms import (
    MEANING,
    Form,
    Tried,
    everything,
    forms,
    mask_names,
    try_form,
)
from cleanformer_lite.checks.examination.questions import Examination
from cleanformer_lite.checks.examination.shares import (
    masked_core,
    mean_of_equals,
    sum_of_shares,
)

# Scores of trained models get as low as this.
WEAK = -30.0


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
    """Find the form in which a mask hides a key; say what is wrong with it if there is none."""
    hidden = min(1, exam.bench.keys - 1)
    tried: list[Tried] = []
    errors: list[str] = []
    mixed: list[Form] = []
    meant = exam.expect.mask
    some = list(forms(exam.bench, name))
    first = [form for form in some if meant is None or form.says == meant]
    found = _first_that_hides(exam, first, hidden, tried, errors, mixed)
    if found is None and _says_the_other(exam, name, tried, hidden):
        return None
    taken = [t for t in tried if t.form.dtype == torch.bool and t.changes]
    if found is None and exam.bench.name == "" and meant in ("keep", "block") and taken:
        say_why(exam, name, taken, hidden)  # what was declared is taken, and hides nothing
        return None
    if found is None and meant is not None:  # numbers that are added have no polarity
        rest = [form for form in some if form.says == "add" and form not in first]
        found = _first_that_hides(exam, rest, hidden, tried, errors, mixed)
    if found is None and mixed:  # no other form is any better
        exam.report.unknown.append(f"{name} (batch and heads are both {exam.heads}: take others)")
        return None
    if found is not None:
        exam.report.notes.append(f"mask: {found}")
        return found
    usable = [t for t in tried if t.before > TOLERANCE]
    if usable:
        say_why(exam, name, usable, hidden)
    else:
        reason = f": {errors[-1]}" if errors else ""
        exam.report.unknown.append(f"{name} (no form of it was taken{reason})")
    return None


def _first_that_hides(
    exam: Examination,
    some: list[Form],
    hidden: int,
    tried: list[Tried],
    errors: list[str],
    mixed: list[Form],
) -> Form | None:
    """Try one form after the other; what each did, or raised, is added to the lists.

    Forms that hide a key, but whose samples may be heads, go into `mixed`.
    """
    for form in some:
        try:
            result = try_form(exam.bench, form, exam.heads, hidden)
        except Exception as error:
            errors.append(short(error, 80))
            continue
        tried.append(result)
        hides = result.before > TOLERANCE and result.left <= TOLERANCE
        if hides and means_what_it_says(exam, result):
            if not _is_ambiguous(exam, form) or not _falls_on_others(exam, form):
                return form
            mixed.append(form)
    return None


def _is_ambiguous(exam: Examination, form: Form) -> bool:
    """Say whether a mask by samples may have been taken for one by heads."""
    return exam.bench.batch == exam.heads and form.shape in ("key", "pair3")


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


def _ask_one(exam: Examination, form: Form) -> bool:
    """Ask all about one mask in the form that hides a key."""
    found = len(exam.report.findings)
    for question in (
        _weights_sum_to_one,
        _fill_is_low,
        _samples_have_their_own,
        _pairs_are_not_turned,
        _blind_queries,
    ):
        try:
            question(exam, form)
        except Exception as error:
            exam.report.unknown.append(f"{question.__doc__} ({short(error, 60)})")
    return len(exam.report.findings) == found


def _weights_sum_to_one(exam: Examination, form: Form) -> None:
    """what is left of the weights sums to one"""
    asked = (exam.bench, form, exam.heads)
    case = sum_of_shares(*asked) or mean_of_equals(*asked)
    if case:
        exam.bug(
            named("mask_after_softmax", "with a mask a query's weights no longer sum to 1", **case)
        )


def _fill_is_low(exam: Examination, form: Form) -> None:
    """what hides a key is lower than any score"""
    if form.says == "add":
        return  # the caller says how low
    hidden = min(1, exam.bench.keys - 1)
    pair = [masked_core(exam.bench, form, exam.heads, key) for key in (None, hidden)]
    scores = [core.scores for core in pair if core is not None and core.scores is not None]
    if len(scores) < 2 or pair[1] is None or pair[1].is_fused:
        return
    before, after = (each.detach()[..., hidden] for each in scores)
    for change in (after, after - before):
        low = float(change.reshape(-1)[0])
        if bool(((change - low).abs() < 1e-4).all()) and WEAK < low < 0:
            case = {"tried": f"the score of a hidden key ({form})", "yours": f"{low:.4g}"}
            case["target"] = "the lowest number of its dtype, or minus infinity"
            exam.bug(named("fill_too_weak", "a score may be as low as what hides a key", **case))
            return


def _samples_have_their_own(exam: Examination, form: Form) -> None:
    """each sample gets its own mask"""
    says = _falls_on_others(exam, form)
    if says:
        exam.bug(
            named(
                "mask_repeat_order",
                "a sample's mask falls on another sample",
                tried=f"token 1 hidden in sample 0 alone ({form})",
                yours=says,
                target="sample 0 does not read it, and no other changes",
            )
        )


@torch.no_grad()
def _falls_on_others(exam: Examination, form: Form) -> str:
    """Say what a mask of one sample does to another; nothing if it does nothing."""
    bench = exam.bench
    if bench.batch < 2 or form.shape == "pair" or bench.keys < 3:
        return ""
    allowed = everything(bench)
    allowed[0, :, 1] = False
    used = {form.name: form.make(allowed, exam.heads)}
    before = bench.tokens(bench.call(**used).output)
    after = bench.tokens(bench.call(bench.changed(1), **used).output)
    others = [row for row in range(before.shape[1]) if row != 1 or bench.is_cross]
    if differ(after[0, others], before[0, others], before):
        return "sample 0 reads it"
    free = bench.tokens(bench.call(**{form.name: form.make(everything(bench), exam.heads)}).output)
    return "sample 1 changes" if differ(before[1:], free[1:], free) else ""


@torch.no_grad()
def _pairs_are_not_turned(exam: Examination, form: Form) -> None:
    """rows of a mask are queries and its columns are keys"""
    bench = exam.bench
    if not form.is_pair or bench.is_cross or bench.keys < 3:
        return
    allowed = everything(bench)
    allowed[:, 2, 1] = False
    used: dict[str, Any] = {form.name: form.make(allowed, exam.heads)}
    changes, chosen = influence(bench, **used)
    free: dict[str, Any] = {form.name: form.make(everything(bench), exam.heads)}
    base, _ = influence(bench, **free)
    column = chosen.index(1)
    if float(base[2, column]) > TOLERANCE and float(changes[2, column]) > TOLERANCE:
        exam.bug(
            named(
                "mask_on_queries",
                "rows and columns of the mask are exchanged",
                tried=f"query 2 may not read key 1 ({form})",
                yours="it reads it",
                target="it does not",
            )
        )


def _blind_queries(exam: Examination, form: Form) -> None:
    """a query that may attend to nothing"""
    bench = exam.bench
    allowed = everything(bench)
    allowed[0] = False
    used = {form.name: form.make(allowed, exam.heads)}
    x = bench.source.clone().requires_grad_()
    whole = bench.tokens(bench.call(x, **used).output)
    output = whole[0].detach()
    if bool(output.isnan().any()):
        says = "NaN"
    else:
        with torch.no_grad():
            again = bench.tokens(bench.call(bench.changed(bench.keys - 1), **used).output)[0]
        says = "a mean of the tokens" if differ(output[:1], again[:1], output) else "no token"
        weights = [p for p in bench.module.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(whole.sum(), [x, *weights], allow_unused=True)
        if any(g is not None and bool(g.isnan().any()) for g in gradients):
            says += ", and NaN in its gradients"
    exam.report.notes.append(f"a query that may attend to nothing gets {says}")
