"""Ask whether query heads stay apart, and which key heads they read."""

from __future__ import annotations

import torch
from torch import Tensor

from cleanformer_lite.checks.examination.core import Core
from cleanformer_lite.checks.examination.finding import Finding
from cleanformer_lite.checks.examination.heads import Insight
from cleanformer_lite.checks.examination.known import named
from cleanformer_lite.checks.examination.questions import Examination
from cleanformer_lite.checks.examination.trace import PROJECTIONS


def keeps_query_heads_apart(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether a score reads one query head, not a sum of several."""
    bench, core = exam.bench, insight.core
    scores = core.product if core.product is not None else core.scores
    if bench.is_cross or bench.length < 2 or scores is None or not scores.requires_grad:
        return None
    number = scores[(0,) * (scores.dim() - 2) + (1, 0)]
    for event in reversed(insight.seen.events):
        output = event.output
        if event.kind not in PROJECTIONS or output.dim() != 3 or not output.requires_grad:
            continue
        gradient = torch.autograd.grad(number, output, retain_graph=True, allow_unused=True)[0]
        if gradient is None or output.shape[:2] != bench.x.shape[:2]:
            continue
        row = bench.tokens(gradient)[0, 1]
        if not bool(row.any()):
            continue  # a projection of the keys
        times = _times(row[row != 0])
        if times < 2:
            return True
        exam.bug(
            named(
                "grouped_heads_summed",
                f"{times} query heads are summed before they meet a key",
                tried="the gradient of one score, with respect to the projected query",
                yours=f"each number occurs in it {times} times",
                target="once",
            )
        )
        return None
    return None


def reads_every_head(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether the output reads every head, not only their sum."""
    core, heads, length = insight.core, exam.heads, exam.bench.length
    output = insight.output
    factors = torch.linspace(0.7, 1.9, output.numel(), dtype=output.dtype).view(output.shape)
    if _is_sum(core, heads):
        case = {"tried": "the product of weights and values", "yours": "no axis of heads"}
        exam.bug(named("heads_summed", "the heads are summed", **case, target="one"))
        return None
    case = {"tried": "the gradient of the output, with respect to each head"}
    for tensor in (core.mixed, core.weights):
        if heads < 2 or tensor is None or not tensor.requires_grad or tensor.dim() != 4:
            continue
        sizes = tuple(tensor.shape[1:3])
        if heads == length or sizes not in ((heads, length), (length, heads)):
            continue
        gradient = torch.autograd.grad(
            (output * factors).sum(), tensor, retain_graph=True, allow_unused=True
        )[0]
        if gradient is None:
            continue
        read = gradient.movedim(1 if sizes[0] == heads else 2, 0).flatten(1)
        idle = [head for head in range(heads) if not bool(read[head].any())]
        if idle:
            case |= {"yours": f"none for heads {idle}", "target": "one for every head"}
            exam.bug(named("only_last_head", f"{len(idle)} heads are not read", **case))
            return None
        if tensor is core.mixed and torch.allclose(read, read[:1].expand_as(read), rtol=1e-4):
            case |= {"yours": "the same for all", "target": "a different one for each"}
            exam.bug(named("heads_summed", "the heads are summed", **case))
            return None
        return True
    return None


def _is_sum(core: Core, heads: int) -> bool:
    """Say whether the product with the values sums over heads."""
    if core.mixed is None or core.value is None or core.is_fused or heads < 2:
        return False
    shapes = (core.weights.shape, core.value.shape)
    if any(len(shape) != 4 or heads not in shape[1:3] for shape in shapes):
        return False
    batch, length = core.weights.shape[0], core.weights.shape[-2]
    return core.mixed.shape == (batch, length, core.value.shape[-1])


def _times(values: Tensor) -> int:
    """Return how often every number occurs; 1 unless all occur equally often."""
    values = values.sort().values
    step = values.diff() > 1e-5 * values.abs().max()
    sizes = torch.diff(
        torch.cat([torch.tensor([-1]), step.nonzero().reshape(-1), torch.tensor([len(step)])])
    )
    return int(sizes[0]) if bool((sizes == sizes[0]).all()) and len(sizes) > 1 else 1


def pairs_key_heads(exam: Examination, insight: Insight) -> bool | None:
    """Ask whether keys and values of a head come from one group, in the declared layout."""
    keys, values = (_layout(part, insight.core, exam) for part in ("key", "value"))
    if not keys or not values or len(set(keys)) in (1, len(keys)):
        return None  # no groups
    count = len(set(keys))
    tiled = keys == [head % count for head in range(len(keys))]
    ours, theirs = (" ".join(map(str, layout)) for layout in (keys, values))
    if keys != values:
        case = {"tried": "which heads have equal keys, which equal values"}
        case |= {"yours": f"keys {ours}, values {theirs}", "target": "one layout for both"}
        exam.bug(
            named(
                "grouped_heads_tiled", "a head's keys and values come from different groups", **case
            )
        )
        return None
    if exam.expect.grouped is None:
        if not tiled:
            return True
        exam.report.notes.append(
            f"query heads read key heads in turn ({ours}); enable_gqa of torch reads them in groups"
        )
        return None
    if tiled == (exam.expect.grouped == "tile"):
        return True
    case = {"tried": "which heads have equal keys", "yours": ours}
    if tiled:
        case["target"] = " ".join(str(head * count // len(keys)) for head in range(len(keys)))
        exam.bug(named("grouped_heads_tiled", "key heads are laid out in turn", **case))
    else:
        case["target"] = " ".join(str(head % count) for head in range(len(keys)))
        exam.bug(Finding("key heads are laid out in groups, but declared in turn", **case))
    return None


def _layout(part: str, core: Core, exam: Examination) -> list[int]:
    """Number the heads of keys or values, equal heads alike; empty if no heads were seen."""
    tensor, heads = getattr(core, part), exam.heads
    if tensor is None or heads < 3:
        return []
    if core.is_fused and tensor.dim() == 4 and heads % tensor.shape[1] == 0:
        tensor = tensor.repeat_interleave(heads // tensor.shape[1], 1)  # as the kernel does
    if tensor.dim() == 4 and tensor.shape[1] == heads:
        maps = list(tensor.detach()[0])
    elif tensor.dim() == 3 and tensor.shape[0] == exam.bench.batch * heads:
        maps = list(tensor.detach()[:heads])
    else:
        return []
    kinds: list[Tensor] = []
    numbers = []
    for each in maps:
        alike = [i for i, kind in enumerate(kinds) if torch.equal(kind, each)]
        numbers.append(alike[0] if alike else len(kinds))
        if not alike:
            kinds.append(each)
    return numbers
