"""Say what a mask does that hides no key: nothing, too little, or something else."""

from __future__ import annotations

import torch
from torch import Tensor

from cleanformer_lite.checks.examination.bench import (
    Bench,
    differ,
)
from cleanformer_lite.checks.examination.known import named
from cleanformer_lite.checks.examination.mask_forms import (
    Form,
    Tried,
    everything,
)
from cleanformer_lite.checks.examination.questions import Examination
from cleanformer_lite.checks.examination.shares import masked_core, mean_of_equals


def say_why(exam: Examination, label: str, tried: list[Tried], hidden: int) -> None:
    """Say what a mask does that hides no key in any form."""
    bench = exam.bench
    if not any(t.changes for t in tried):
        if _is_free(bench, tried[0]) is False:
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
    spoiled = next((t for t in tried if t.spoils and _is_free(bench, t)), None)
    if spoiled is not None:
        exam.bug(
            named(
                _name_the_leak(exam, spoiled.form, hidden),
                f"{label} hides one token, and other outputs are no longer finite",
                tried=f"token {hidden} hidden ({spoiled.form})",
                yours="NaN or infinity",
                target="finite outputs",
            )
        )
        return
    tried = [t for t in tried if t.changes and _is_free(bench, t)] or tried
    least = min(tried, key=lambda t: t.left if t.changes else float("inf"))
    if _hides_queries(bench, least.form, exam.heads, hidden):
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
def means_what_it_says(exam: Examination, tried: Tried) -> bool:
    """Say whether a mask that allows everything is as good as none, however it is written."""
    bench = exam.bench
    form = tried.form
    if isinstance(bench.kwargs.get(form.name), Tensor) or _is_free(bench, tried, exam.is_causal):
        return True
    if form.says != "add":
        return False
    zeros = form.make(everything(bench))
    ours, theirs = (bench.call(**{form.name: mask}).output for mask in (zeros, zeros + 1.0))
    return not differ(ours, theirs, theirs)  # a softmax does not see a shift


@torch.no_grad()
def _is_free(bench: Bench, tried: Tried, last: bool = False) -> bool | None:
    """Say whether the mask that allows everything does what no mask does; None if it needs one.

    The `last` token alone is looked at where causality may be lost: it reads everything anyway.
    """
    form = tried.form
    free = {form.name: form.make(everything(bench))}
    without = {form.name: None}
    try:
        ours, theirs = bench.call(**free).output, bench.call(**without).output
    except Exception:
        return None
    if last:
        ours, theirs = (bench.tokens(output)[:, -1] for output in (ours, theirs))
    return not differ(ours, theirs, theirs)


def _name_the_leak(exam: Examination, form: Form, hidden: int) -> str:
    """Name what is done with a mask, from the scores that go into the softmax."""
    bench = exam.bench
    found = [masked_core(bench, form, exam.heads, key) for key in (None, hidden)]
    scores = [core.scores for core in found if core is not None and core.scores is not None]
    if len(scores) < 2:
        shrinks = mean_of_equals(bench, form, exam.heads)
        return "padding_in_normalizer" if shrinks else "masked_keys_leak"
    before, after = (each.detach()[..., hidden] for each in scores)
    if before.shape != after.shape:
        return "masked_keys_leak"
    step = after - before
    if torch.allclose(before, after, atol=1e-6):
        shares = found[1].shares if found[1] is not None else None
        whole = shares is not None and bool((shares.detach().sum(-1) - 1).abs().max() < 1e-4)
        return "padding_in_normalizer" if whole else "mask_after_softmax"
    if not bool(after.any()):
        return "mask_multiplied"
    if bool((step - step.mean()).abs().max() < 1e-4):
        return "mask_added" if abs(float(step.mean())) <= 1 else "fill_too_weak"
    return (
        "fill_too_weak" if bool((after - after.mean()).abs().max() < 1e-4) else "masked_keys_leak"
    )


@torch.no_grad()
def _hides_queries(bench: Bench, form: Form, heads: int, hidden: int) -> bool:
    """Say whether hiding a token changes its own row and no other."""
    if bench.is_cross:
        return False
    allowed = everything(bench)
    unmasked = bench.tokens(bench.call(**{form.name: form.make(allowed, heads)}).output)
    allowed[:, :, hidden] = False
    used = bench.tokens(bench.call(**{form.name: form.make(allowed, heads)}).output)
    others = [row for row in range(unmasked.shape[1]) if row != hidden]
    return not differ(used[:, others], unmasked[:, others], unmasked) and differ(
        used[:, hidden], unmasked[:, hidden], unmasked
    )
