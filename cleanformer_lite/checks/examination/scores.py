"""Ask about scores: their scale, what they read, and the axis of their softmax."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.examination.bench import Bench
from cleanformer_lite.checks.examination.core import Core, factor_of_scores, gain, ratio
from cleanformer_lite.checks.examination.errors import NotAskedError
from cleanformer_lite.checks.examination.heads import Insight
from cleanformer_lite.checks.examination.known import named, number
from cleanformer_lite.checks.examination.questions import Examination
from cleanformer_lite.checks.examination.trace import PRODUCTS


def weighs_keys(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether weights sum to 1 along the axis over which values are summed."""
    returned = insight.result.weights
    if returned is not None and bool((returned.detach().sum(-1) - 1).abs().max() > 1e-3):
        sums = returned.detach().sum(-1).reshape(-1)
        far = sums[(sums - 1).abs().argmax()]
        exam.bug(
            named(
                _axis_of(returned.detach()),
                "the weights of a query do not sum to 1",
                tried="the weights that it returned, summed over the keys",
                yours=number(far),
                target="1",
            )
        )
        return None
    wide = _over_heads_too(insight, exam.bench)
    if wide is not None:
        case = {"yours": number(wide), "target": "1"}
        case["tried"] = "the weights of one query and one head, summed over the keys"
        exam.bug(named("softmax_over_heads", "one softmax runs over heads and keys", **case))
        return None
    core = insight.core
    if core.over is None:
        raise NotAskedError("the product with the values was not seen")
    if core.along == core.over:
        return True
    sums = core.weights.detach().sum(core.over).reshape(-1)
    mistake = "softmax_over_queries" if core.along == -2 else "softmax_over_another_axis"
    if core.along == -3 and core.weights.dim() == 4 and core.weights.shape[1] == exam.heads:
        mistake = "softmax_over_heads"
    if core.over == -2 and core.along == -1:
        mistake = "einsum_axes_swapped"
    far = sums[(sums - 1).abs().argmax()]
    exam.bug(
        named(
            mistake,
            f"the softmax runs along axis {core.along}, the values are summed along {core.over}",
            tried="the weights of one query, summed",
            yours=number(far),
            target="1",
        )
    )
    return None


def _over_heads_too(insight: Insight, bench: Bench) -> Tensor | None:
    """Return the sum of one head's weights if one softmax runs over the keys of all heads."""
    events, keys = insight.seen.events, bench.keys
    for index, event in enumerate(events):
        width = event.output.shape[-1] if event.output.dim() else 0
        if event.kind != "softmax" or event.named["dim"] not in (-1, event.output.dim() - 1):
            continue
        if width <= keys or width % keys:
            continue
        maps = (bench.batch, width // keys, bench.length, keys)
        for after in events[index + 1 :]:
            for factor in after.inputs[-2:] if after.kind in PRODUCTS else ():
                if factor.shape == maps and factor.numel() == event.output.numel():
                    return factor.detach()[0, 0, 0].sum()
    return None


def _axis_of(weights: Tensor) -> str:
    """Name the mistake by the axis along which weights sum to 1."""
    names = {-2: "softmax_over_queries", -3: "softmax_over_heads", -4: "softmax_over_another_axis"}
    for axis in range(-2, -weights.dim() - 1, -1):
        if bool((weights.sum(axis) - 1).abs().max() < 1e-3):
            return names[axis]
    joint = weights.dim() == 4 and bool((weights.sum((-3, -1)) - 1).abs().max() < 1e-3)
    return "softmax_over_heads" if joint else "rows_do_not_sum_to_one"


def scales_scores(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether scores are divided by the root of D."""
    core = insight.core
    factor = factor_of_scores(core, insight.seen.events)
    if factor is None or core.query is None:
        raise NotAskedError("scores are not multiplied by a single number")
    head_dim, embed_dim = core.head_dim, exam.bench.embed_dim
    exam.report.what += f", D={head_dim}"
    if _near(factor, head_dim**-0.5):
        return True
    case = {
        "tried": f"scores over q k^T, D = {head_dim}, E = {embed_dim}",
        "yours": number(factor),
        "target": f"1 / sqrt(D) = {number(head_dim**-0.5)}",
    }
    what = f"scores are multiplied by {number(factor)}"
    if _near(factor, math.sqrt(head_dim)):
        exam.bug(named("scale_inverted", what, **case))
    elif _near(factor, embed_dim**-0.5):
        exam.bug(named("scaled_by_embed_dim", what, **case))
    elif _near(factor, 1 / head_dim) and _in_two_places(core, insight.seen.events):
        exam.bug(named("scaled_twice", what + " in two places", **case))
    elif exam.expect.scaled and _near(factor, 1 / head_dim):
        exam.bug(named("scale_without_root", what, **case))
    elif _near(factor, 1.0) and not exam.expect.scaled:
        exam.report.unknown.append(
            "scale (scores are not scaled: by design, as in T5, or forgotten)"
        )
    elif (
        exam.expect.scaled
        and core.weights is not None
        and any(_near(factor, size**-0.5) for size in core.weights.shape[1:])
    ):
        exam.bug(named("scaled_by_another_size", what, **case))
    elif exam.expect.scaled:
        exam.bug(named("scale_missing" if _near(factor, 1.0) else "", what, **case))
    else:
        exam.report.notes.append(
            f"scores are multiplied by {number(factor)}; 1 / sqrt(D) is {number(head_dim**-0.5)}"
        )
    return None


def _in_two_places(core: Core, events: list[Any]) -> bool:
    if core.query is None or core.key is None:
        return False
    parts = [gain(core.query, events), gain(core.key, events)]
    parts.append(core.kernel_scale if core.is_fused else ratio(core, events))
    return sum(part is not None and not _near(float(part), 1.0) for part in parts) >= 2


def _near(value: float, target: float) -> bool:
    return abs(value - target) <= 1e-2 * abs(target)


def scores_read_their_tokens(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether a score reads only its own query and key."""
    bench, core = exam.bench, insight.core
    if bench.is_cross or core.along != -1 or core.weights.dim() not in (3, 4):
        raise NotAskedError("it takes self-attention")
    scores = core.scores if core.scores is not None else core.product
    if core.is_fused:
        tensors = [t for t in (core.query, core.key) if t is not None]
    else:
        tensors = [t for t in (scores,) if t is not None]
    for tensor in tensors:
        for token in range(min(bench.length, 3)):
            picked = tensor[(0,) * (tensor.dim() - 2) + (token,)]
            wanted = {token}
            if not core.is_fused:
                other = (token + 1) % bench.keys
                picked, wanted = picked[other], {token, other}
                if not bool(picked.detach().isfinite()) or float(picked.detach()) < -1e4:
                    continue
            gradient = torch.autograd.grad(
                picked.sum(), insight.x, retain_graph=True, allow_unused=True
            )[0]
            if gradient is None:
                raise NotAskedError("scores have no gradient")
            change = bench.tokens(gradient).abs().amax(-1)
            read = {int(i) for i in (change[0] > 1e-6 * change.max()).nonzero()}
            if not read <= wanted and not _is_window(read, wanted):
                strangers = sorted(read - wanted)
                exam.bug(
                    named(
                        "split_without_transpose",
                        f"the score of query {token} reads tokens {strangers}",
                        tried=f"the gradient of one score, head 0, query {token}",
                        yours=f"it reads tokens {sorted(read)}",
                        target=f"tokens {sorted(wanted)}",
                    )
                )
                return None
    return True


def _is_window(read: set[int], wanted: set[int]) -> bool:
    """Say whether only neighbours of the wanted tokens are read, as after a convolution."""
    return (
        wanted <= read
        and all(min(abs(r - w) for w in wanted) <= 2 for r in read)
        and len(read) <= 3 * len(wanted)
    )
