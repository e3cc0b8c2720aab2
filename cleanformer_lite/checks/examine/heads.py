"""Read off a call as it runs: scale, softmax axis, heads, and where tokens get mixed."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.examine.bench import NotAskedError
from cleanformer_lite.checks.examine.known import named, number
from cleanformer_lite.checks.examine.questions import Examination
from cleanformer_lite.checks.examine.trace import (
    Core,
    Watch,
    cores,
    factor_of_scores,
    gain,
    ratio,
    watch,
)


class Insight:
    """One watched call of an attention: its cores, and the tokens that it was called on."""

    def __init__(self, exam: Examination) -> None:
        bench = exam.bench
        self.x = bench.source.clone().requires_grad_()
        self.result, self.seen = watch(lambda: bench.call(self.x))
        self.output = bench.tokens(self.result.output)
        self.cores = cores(self.seen.events, bench.length, bench.keys)
        self.tokens_axis = bench.token_axis

    @property
    def core(self) -> Core:
        """Return the first core.

        Raises: NotAskedError if there is none.
        """
        if not self.cores:
            raise NotAskedError("no softmax over keys and no fused kernel was seen")
        return self.cores[0]


def count_heads(insight: Insight, batch: int) -> int:
    """Count the maps for each sample."""
    total = 0
    for core in insight.cores:
        shape = core.weights.shape
        total += shape[-3] // (batch if len(shape) == 3 else 1) if len(shape) >= 3 else 1
    return max(total, 1)


def weighs_keys(exam: Examination, insight: Insight) -> bool | None:
    """The weights of a query sum to 1, along the axis over which values are summed."""
    core = insight.core
    returned = insight.result.weights
    if returned is not None and bool((returned.detach().sum(-1) - 1).abs().max() > 1e-3):
        sums = returned.detach().sum(-1).reshape(-1)
        far = sums[(sums - 1).abs().argmax()]
        down = returned.detach().sum(-2)
        mistake = "softmax_over_queries" if bool((down - 1).abs().max() < 1e-3) else ""
        exam.bug(
            named(
                mistake,
                "the weights of a query do not sum to 1",
                tried="the weights that it returned, summed over the keys",
                yours=number(far),
                target="1",
            )
        )
        return None
    if core.over is None:
        raise NotAskedError("the product with the values was not seen")
    if core.along == core.over:
        return True
    sums = core.weights.detach().sum(core.over).reshape(-1)
    mistake = "softmax_over_queries" if core.along == -2 else "softmax_over_another_axis"
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


def scales_scores(exam: Examination, insight: Insight) -> bool | None:
    """Scores are divided by the root of D."""
    core = insight.core
    factor = factor_of_scores(core, insight.seen.events)
    if factor is None or core.query is None:
        raise NotAskedError("what scores are multiplied by is no one number")
    head_dim, embed_dim = core.query.shape[-1], exam.bench.embed_dim
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


def heads_differ(exam: Examination, insight: Insight) -> bool | None:
    """Heads have maps of their own."""
    maps = _maps(insight, exam.bench.batch)
    if len(maps) < 2:
        raise NotAskedError("it has one head")
    first = maps[0]
    if not all(torch.allclose(first, other, atol=1e-6) for other in maps[1:]):
        return True
    if bool((first - first.mean(-1, keepdim=True)).abs().max() < 1e-6):
        raise NotAskedError("all weights are alike")
    exam.bug(
        named(
            "shared_layer",
            f"all {len(maps)} heads have one map",
            tried="the maps of two heads",
            yours="equal",
            target="different",
        )
    )
    return None


def _maps(insight: Insight, batch: int) -> list[Tensor]:
    """List the maps of the first sample, one a head."""
    found = []
    for core in insight.cores:
        weights = core.weights.detach()
        if weights.dim() == 4:
            found += list(weights[0])
        elif weights.dim() == 3 and weights.shape[0] > batch and weights.shape[0] % batch == 0:
            found += list(weights[: weights.shape[0] // batch])
        elif weights.dim() == 3:
            found.append(weights[0])
    return found


def heads_read_everything(exam: Examination, insight: Insight) -> bool | None:
    """Every head reads all of the input."""
    core = insight.core
    if core.weights.dim() not in (3, 4) or not core.weights.requires_grad:
        raise NotAskedError("a head's map has no gradient")
    first = core.weights[0, 0] if core.weights.dim() == 4 else core.weights[0]
    factors = torch.linspace(0.3, 1.7, first.numel(), dtype=first.dtype).view(first.shape)
    gradient = torch.autograd.grad(
        (first * factors).sum(), insight.x, retain_graph=True, allow_unused=True
    )[0]
    if gradient is None:
        raise NotAskedError("a head's map has no gradient")
    read = gradient.abs().amax(dim=(0, 1))
    count, total = int((read > 1e-7 * read.max()).sum()), read.numel()
    heads = exam.heads
    if count == total or heads == 1:
        return True
    if exam.expect.sliced:
        return True
    if abs(count - total / heads) < 1:
        exam.bug(
            named(
                "split_before_projection",
                f"a head reads {count} of {total} input numbers",
                tried="the gradient of one head's map",
                yours=f"{count} numbers",
                target=f"{total} numbers",
            )
        )
        return None
    exam.report.notes.append(f"a head reads {count} of {total} input numbers")
    return None


def scores_read_their_tokens(exam: Examination, insight: Insight) -> bool | None:
    """A score reads its own query and key, and no other token."""
    bench, core = exam.bench, insight.core
    if bench.is_cross or core.along != -1 or core.weights.dim() not in (3, 4):
        raise NotAskedError("asked of self-attention alone")
    if core.scores is None:
        tensors = [t for t in (core.query, core.key) if t is not None]
    else:
        tensors = [core.scores]
    for tensor in tensors:
        for token in range(min(bench.length, 3)):
            picked = tensor[(0,) * (tensor.dim() - 2) + (token,)]
            wanted = {token}
            if core.scores is not None:
                other = (token + 1) % bench.keys
                picked, wanted = picked[other], {token, other}
                if not bool(picked.detach().isfinite()) or float(picked.detach()) < -1e4:
                    continue
            gradient = torch.autograd.grad(
                picked.sum(), insight.x, retain_graph=True, allow_unused=True
            )[0]
            if gradient is None:
                raise NotAskedError("scores have no gradient")
            moved = bench.tokens(gradient).abs().amax(-1)
            read = {int(i) for i in (moved[0] > 1e-6 * moved.max()).nonzero()}
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
    """Say whether all that is read is next to what is wanted: a convolution comes before."""
    return (
        wanted <= read
        and all(min(abs(r - w) for w in wanted) <= 2 for r in read)
        and len(read) <= 3 * len(wanted)
    )


def tokens_stay_apart_after(exam: Examination, insight: Insight) -> bool | None:
    """After the weighted sum each token goes its own way."""
    bench, core = exam.bench, insight.core
    if core.mixed is None or not core.mixed.requires_grad or core.mixed.dim() < 3:
        raise NotAskedError("the weighted sum was not seen")
    mixed = core.mixed
    axes = [axis for axis in range(mixed.dim()) if mixed.shape[axis] == bench.length]
    if not axes or bench.length < 2:
        raise NotAskedError("the weighted sum has no axis of tokens")
    if exam.found(("samples_mixed",)) and mixed.shape[0] == bench.batch:
        gradient = torch.autograd.grad(
            mixed[0].sum(), insight.x, retain_graph=True, allow_unused=True
        )[0]
        if gradient is not None and not bool(bench.tokens(gradient)[1:].any()):
            exam.rename("samples_mixed", "merge_mixes_batch")
        return None
    for token in range(min(bench.length, 3)):
        out = insight.output[0, token]
        factors = torch.linspace(0.7, 1.9, out.numel(), dtype=out.dtype)
        gradient = torch.autograd.grad(
            (out * factors).sum(), mixed, retain_graph=True, allow_unused=True
        )[0]
        if gradient is None:
            raise NotAskedError("the output does not come from the weighted sum")
        used = gradient.abs() > 1e-7 * gradient.abs().max()
        own = False
        for axis in axes:
            rows = used.movedim(axis, 0).flatten(1).any(1)
            own |= bool(rows[token]) and int(rows.sum()) == 1
        if not own:
            rows = used.movedim(-2, 0).flatten(1).any(1)
            exam.bug(
                named(
                    "merge_without_transpose",
                    f"output {token} is put together from several tokens' weighted sums",
                    tried=f"the gradient of output {token}",
                    yours=f"rows {[int(i) for i in rows.nonzero()]} of the weighted sum",
                    target=f"row {token}",
                )
            )
            return None
    return True


def heads_are_mixed(exam: Examination, insight: Insight) -> bool | None:
    """The heads are mixed by a projection after the weighted sum."""
    core = insight.core
    if len(insight.cores) > 1 or core.mixed is None:
        raise NotAskedError("the weighted sum was not seen in one piece")
    mixed, output = core.mixed.detach(), insight.output.detach()
    if mixed.numel() != output.numel():
        return True
    ours, theirs = mixed.reshape(-1).sort().values, output.reshape(-1).sort().values
    if not torch.allclose(ours, theirs, atol=1e-6):
        return True
    if exam.expect.output_projection:
        exam.bug(
            named(
                "no_output_projection",
                "the output is the weighted sums of the heads, side by side",
                tried="output beside the weighted sums",
                yours="the same numbers",
                target="a projection of them",
            )
        )
    else:
        exam.report.notes.append("no output projection inside: heads are concatenated")
    return None


def values_are_their_own(exam: Examination, insight: Insight) -> bool | None:
    """Values are not the keys."""
    core = insight.core
    if core.value is None or core.key is None:
        raise NotAskedError("values and keys were not seen")
    value, key = core.value.detach(), core.key.detach()
    if value.numel() != key.numel():
        return True
    alike = [key.reshape(-1)]
    if key.dim() >= 2:
        alike.append(key.transpose(-2, -1).reshape(-1))
    size = key.norm() / value.norm().clamp_min(1e-9)
    if not any(torch.allclose(value.reshape(-1) * size, other, atol=1e-5) for other in alike):
        return True
    idle = [note for note in exam.report.notes if note.startswith("no gradient reaches")]
    if idle:
        exam.bug(
            named(
                "value_uses_key",
                "the values are the keys, and a projection is left over",
                tried="values beside keys",
                yours="equal",
                target="a projection of their own",
            )
        )
    else:
        exam.report.unknown.append("values (they are the keys: by design, or copied)")
    return None


def drops_nothing_in_eval(exam: Examination, insight: Insight) -> bool | None:
    """No dropout is switched on in evaluation mode."""
    seen: Watch = insight.seen
    if not seen.dropped:
        return True
    exam.bug(
        named(
            "dropout_in_eval",
            "dropout is on in eval()",
            tried="a call in eval()",
            yours="a rate above 0 was used",
            target="0",
        )
    )
    return None
