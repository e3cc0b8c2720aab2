"""Ask about heads from one watched call: their maps, what they read, where tokens mix."""

from __future__ import annotations

import torch
from torch import Tensor

from cleanformer_lite.checks.examination.core import Core, cores
from cleanformer_lite.checks.examination.errors import NotAskedError
from cleanformer_lite.checks.examination.known import named
from cleanformer_lite.checks.examination.questions import Examination
from cleanformer_lite.checks.examination.trace import Watch, watch


class Insight:
    """One watched call of an attention: its cores and its tokens."""

    def __init__(self, exam: Examination) -> None:
        bench = exam.bench
        self.x = bench.source.clone().requires_grad_()
        self.result, self.seen = watch(lambda: bench.call(self.x))
        self.output = bench.tokens(self.result.output)
        self.cores = cores(self.seen.events, bench.length, bench.keys)

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


def heads_differ(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether heads have maps of their own."""
    maps = _maps(insight, exam.bench.batch)
    if len(maps) < 2:
        raise NotAskedError("it has one head")
    first = maps[0]
    if not all(torch.allclose(first, other, atol=1e-6) for other in maps[1:]):
        return True
    if bool((first - first.mean(-1, keepdim=True)).abs().max() < 1e-6):
        raise NotAskedError("all weights are equal")
    exam.bug(
        named(
            "shared_layer",
            f"all {len(maps)} heads have the same map",
            tried="the maps of two heads",
            yours="equal",
            target="different",
        )
    )
    return None


def _maps(insight: Insight, batch: int) -> list[Tensor]:
    """List the maps of the first sample, one for each head."""
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
    """Ask whether every head reads all of the input."""
    core = insight.core
    if insight.output.requires_grad and not core.weights.requires_grad:
        exam.bug(
            named(
                "gradient_lost",
                "no gradient flows through the weights",
                tried="weights.requires_grad",
                yours="False",
                target="True",
            )
        )
        return None
    if core.weights.dim() not in (3, 4):
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


def tokens_stay_apart_after(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether tokens stay apart after the weighted sum."""
    bench, core = exam.bench, insight.core
    if core.mixed is None or not core.mixed.requires_grad or core.mixed.dim() < 3:
        raise NotAskedError("the weighted sum was not seen")
    mixed = core.mixed
    axes = [axis for axis in range(mixed.dim()) if mixed.shape[axis] == bench.length]
    if not axes or bench.length < 2:
        raise NotAskedError("the weighted sum has no axis of tokens")
    if exam.found(("samples_mixed",)) and mixed.shape[0] == bench.batch * exam.heads:
        _say_if_merged(exam, insight, mixed)
        return None
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
            tokens = used.movedim(axis, 0).flatten(1).any(1)
            own |= bool(tokens[token]) and int(tokens.sum()) == 1
        if not own:
            tokens = used.movedim(-2, 0).flatten(1).any(1)
            exam.bug(
                named(
                    "merge_without_transpose",
                    f"output {token} is made from several tokens' weighted sums",
                    tried=f"the gradient of output {token}",
                    yours=f"rows {[int(i) for i in tokens.nonzero()]} of the weighted sum",
                    target=f"row {token}",
                )
            )
            return None
    return True


def _say_if_merged(exam: Examination, insight: Insight, mixed: Tensor) -> None:
    """Name the merge if it mixes samples, and each weighted sum still reads one sample."""
    for part in mixed.flatten(1).sum(1):
        gradient = torch.autograd.grad(part, insight.x, retain_graph=True, allow_unused=True)[0]
        if gradient is None:
            return
        if int(exam.bench.tokens(gradient).flatten(1).any(1).sum()) != 1:
            return
    exam.rename("samples_mixed", "merge_mixes_batch")


def heads_are_mixed(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether a projection mixes the heads after the weighted sum."""
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
                "the output is the heads' weighted sums, side by side",
                tried="the output and the weighted sums",
                yours="the same numbers",
                target="a projection of them",
            )
        )
    else:
        exam.report.notes.append("no output projection inside: heads are concatenated")
    return None


def values_are_their_own(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether values differ from keys."""
    core = insight.core
    if core.value is None or core.key is None:
        raise NotAskedError("values and keys were not seen")
    if _is_query(core) and _idle(exam):
        case = {
            "tried": "the queries and the keys",
            "yours": "equal",
            "target": "projections of their own",
        }
        exam.bug(
            named("key_uses_query", "the keys are the queries, and a projection is unused", **case)
        )
    value, key = core.value.detach(), core.key.detach()
    if value.numel() != key.numel():
        return True
    alike = [key.reshape(-1)]
    if key.dim() >= 2:
        alike.append(key.transpose(-2, -1).reshape(-1))
    size = key.norm() / value.norm().clamp_min(1e-9)
    if not any(torch.allclose(value.reshape(-1) * size, other, atol=1e-5) for other in alike):
        return True
    if _idle(exam):
        exam.bug(
            named(
                "value_uses_key",
                "the values are the keys, and a projection is unused",
                tried="the values and the keys",
                yours="equal",
                target="a projection of their own",
            )
        )
    else:
        exam.report.unknown.append("values (they are the keys: by design, or copied)")
    return None


def _idle(exam: Examination) -> bool:
    return any("is not used in this call" in note for note in exam.report.notes)


def _is_query(core: Core) -> bool:
    """Say whether keys equal queries up to a factor."""
    if core.query is None or core.key is None or core.query.numel() != core.key.numel():
        return False
    query, key = core.query.detach(), core.key.detach()
    query = query * (key.norm() / query.norm().clamp_min(1e-9))
    return any(
        other.shape == query.shape and torch.allclose(query, other, atol=1e-5)
        for other in (key, key.transpose(-2, -1))
    )


def drops_nothing_in_eval(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether dropout is off in evaluation mode."""
    seen: Watch = insight.seen
    if not seen.dropped:
        return True
    exam.bug(
        named(
            "dropout_in_eval",
            "dropout is on in eval()",
            tried="a call in eval()",
            yours="a dropout rate above 0",
            target="0",
        )
    )
    return None
