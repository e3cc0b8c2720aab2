"""Ask whether the weights of a query still sum to one when a mask hides a key."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.examination.bench import Bench, differ
from cleanformer_lite.checks.examination.core import Core, cores
from cleanformer_lite.checks.examination.known import worst
from cleanformer_lite.checks.examination.mask_forms import Form, everything
from cleanformer_lite.checks.examination.trace import watch


def masked_core(bench: Bench, form: Form, heads: int, hidden: int | None) -> Core | None:
    """Watch a call in which one key is hidden, or none."""
    allowed = everything(bench)
    if hidden is not None:
        allowed[:, :, hidden] = False
    used: dict[str, Any] = {form.name: form.make(allowed, heads)}
    _, seen = watch(lambda: bench.call(**used))
    return next(iter(cores(seen.events, bench.length, bench.keys)), None)


def sum_of_shares(bench: Bench, form: Form, heads: int) -> dict[str, str]:
    """Sum the weights that the values get, with a hidden key and without."""
    sums = []
    for hidden in (None, min(1, bench.keys - 1)):
        core = masked_core(bench, form, heads, hidden)
        if core is None or core.shares is None or core.along != -1:
            return {}
        sums.append(core.shares.detach().sum(-1))
    free, left = sums
    far = left.reshape(-1)[(left - 1).abs().argmax()]
    if bool((free - 1).abs().max() > 1e-3) or abs(far - 1) <= 20 * torch.finfo(far.dtype).eps:
        return {}
    return {
        "tried": f"the weights of one query, one key hidden ({form}), summed",
        "yours": f"{float(far):.7g}",
        "target": "1",
    }


@torch.no_grad()
def mean_of_equals(bench: Bench, form: Form, heads: int) -> dict[str, str]:
    """Hide one of many equal tokens, which must not change their mean."""
    if bench.keys < 4:
        return {}
    alike = bench.source.clone()
    view = bench.tokens(alike)
    view[:] = view[:, :1].clone()

    def hide(*tokens: int) -> Tensor:
        allowed = everything(bench)
        allowed[:, :, list(tokens)] = False
        used = {form.name: form.make(allowed, heads)}
        output = bench.tokens(bench.call(alike, **used).output)
        # What a hidden token gets itself is another question.
        return output if bench.is_cross else output[:, [0, *range(3, bench.length)]]

    free, used, more = hide(), hide(1), hide(1, 2)
    if not bench.is_cross and differ(free, free[:, :1].expand_as(free), free):
        return {}  # positions stand in the values: tokens are never alike
    # Each hidden key takes the same away; a sink that takes a share of its own does not do that.
    if not differ(used, free, free) or differ(free - used, used - more, free):
        return {}
    where, yours, target = worst(used, free)
    tried = f"equal tokens, one hidden ({form}), output{where}"
    return {"tried": tried, "yours": yours, "target": target}
