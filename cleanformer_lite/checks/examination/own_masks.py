"""Ask how a causal mask that a module makes itself acts on scores and weights."""

from __future__ import annotations

import torch
from torch import Tensor

from cleanformer_lite.checks.examination.heads import Insight
from cleanformer_lite.checks.examination.known import named, number
from cleanformer_lite.checks.examination.questions import Examination


def hides_by_its_own(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether a triangle of zeros in scores or weights hides later tokens completely."""
    core, bench = insight.core, exam.bench
    if bench.is_cross or core.is_fused or core.along != -1 or bench.length < 3:
        return None
    weights = core.weights.detach()
    if weights.shape[-2:] != (bench.length, bench.length):
        return None
    later = torch.ones(weights.shape[-2:], dtype=torch.bool).triu(1)
    leaked = float(weights[..., later].max())
    if leaked < 1e-6:
        return None
    for mistake, yours in (
        ("mask_after_softmax", core.shares),
        ("mask_multiplied", core.scores if core.product is not None else None),
    ):
        if yours is not None and yours.shape == weights.shape and _is_triangle(yours, later):
            _say(exam, mistake, leaked)
            return None
    if core.scores is not None and core.scores.shape == weights.shape:
        filled = core.scores.detach()[..., later]
        if bool((filled == filled.reshape(-1)[0]).all()):
            _say(exam, "fill_too_weak", leaked)
    return None


def _is_triangle(numbers: Tensor, later: Tensor) -> bool:
    """Say whether later tokens, and only these, have zeros."""
    zeros = numbers.detach() == 0
    return bool(zeros[..., later].all()) and not bool(zeros[..., ~later].any())


def _say(exam: Examination, mistake: str, leaked: float) -> None:
    exam.bug(
        named(
            mistake,
            "its own causal mask leaves weight on later tokens",
            tried="the softmax at a later token",
            yours=number(leaked),
            target="0",
        )
    )
