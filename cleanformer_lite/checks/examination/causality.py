"""Ask whether the future is hidden: as called, by a flag, and with a mask beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.examination.bench import (
    TOLERANCE,
)
from cleanformer_lite.checks.examination.errors import NotAskedError
from cleanformer_lite.checks.examination.influence import influence, pattern
from cleanformer_lite.checks.examination.known import named
from cleanformer_lite.checks.examination.mask_forms import (
    FLAGS,
    Form,
    everything,
    forms,
    mask_names,
)
from cleanformer_lite.checks.examination.questions import Examination


def reads_no_future(exam: Examination) -> bool | None:
    """Ask which tokens an output reads in the call as it was met."""
    bench = exam.bench
    if bench.is_cross:
        raise NotAskedError("it is cross-attention")
    if bench.length < 3:
        raise NotAskedError("the example has fewer than three tokens")
    changes, chosen = influence(bench)
    if bench.length == len(chosen):
        exam.report.reads = (changes > TOLERANCE).tolist()
    found = pattern(changes, chosen)
    if found in ("causal", "causal within a window"):
        return True
    if exam.expect.causal or found == "next":
        late = (changes > TOLERANCE) & (
            torch.tensor(chosen)[None] > torch.arange(len(changes))[:, None]
        )
        places = late.nonzero()
        row, column = (int(i) for i in places[0]) if len(places) else (0, 0)
        exam.bug(
            named(
                "causal_mask_shifted",
                "an output reads a later token" if len(places) else "a token does not read itself",
                tried=f"token {chosen[column]} changed",
                yours=f"output {row} moves" if len(places) else "its own output stays",
                target=f"output {row} stays" if len(places) else "its own output moves",
            )
        )
        return None
    if found == "full":
        exam.report.notes.append(
            "every token reads every other, later ones too (not declared causal)"
        )
    else:
        exam.report.unknown.append(f"causality (which token reads which: {found}; not declared)")
    return None


def mask_and_causal(exam: Examination) -> bool | None:
    """Ask whether a mask and causality both count."""
    bench = exam.bench
    if bench.is_cross or bench.length < 3:
        raise NotAskedError("asked of self-attention on three tokens or more")
    if any(isinstance(part, nn.MultiheadAttention) for part in bench.module.modules()):
        raise NotAskedError("is_causal is a hint of torch's own that a causal mask is given")
    flag = next((name for name in bench.names if name in FLAGS), None)
    is_built_in = exam.is_causal
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
        carried = [form for form in used if _may_carry(exam, form)]
        if carried:
            raise NotAskedError(f"{carried[0].name} may carry the causality itself")
    return all(_counts_both(exam, form, words, given, upper, chosen) for form in used)


def _may_carry(exam: Examination, form: Form) -> bool:
    """Say whether a mask may be meant to bring the causality along, so that none is left without.

    A mask of padding is not. Neither is one that the caller left out of a call that was declared
    causal: the module was causal without it.
    """
    if "pad" in form.name or not (form.is_pair or form.shape == "key4"):
        return False
    left_out = exam.bench.name == "" and form.name not in exam.bench.kwargs
    return not (exam.expect.causal and left_out)


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
    others = [row for row in range(len(both)) if row != 1]
    lost = bool((both[upper] > TOLERANCE).any())
    dropped = 1 in chosen and bool((both[others, chosen.index(1)] > TOLERANCE).any())
    if not lost and not dropped:
        return True
    exam.bug(
        named(
            "masks_joined_by_or" if lost and dropped else "causal_mask_shifted",
            f"{'the mask' if dropped else 'causality'} is forgotten when both are given",
            tried=f"{form} hides token 1; {words}",
            yours="token 1 is read" if dropped else "a later token is read",
            target="neither is",
        )
    )
    return False
