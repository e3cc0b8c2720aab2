"""Find where scores become weights, from the operations of one call."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cleanformer_lite.checks.examination.trace import PRODUCTS, PROJECTIONS, Event


@dataclass
class Core:
    """One place where scores become weights.

    `weights` are `(..., L, S)`, `scores` what went into the softmax (None where that was not seen),
    `product` the product of query and key before it,
    `mixed` the weighted values `(..., L, D)`. `along` is the axis of `weights` that the softmax
    makes sum to one, `over` the axis that the product with the values sums over (-1 are the last),
    `shares` what the values are multiplied by.
    """

    weights: Tensor
    scores: Tensor | None
    query: Tensor | None
    key: Tensor | None
    value: Tensor | None
    mixed: Tensor | None
    along: int
    over: int | None
    product: Tensor | None = None
    head_dim: int = 0
    kernel_scale: float | None = None
    shares: Tensor | None = None
    is_fused: bool = False


def cores(events: list[Event], length: int, keys: int) -> list[Core]:
    """Find where scores become weights: every softmax over keys, every fused kernel."""
    found = []
    for index, event in enumerate(events):
        if event.kind == "kernel":
            if (event.inputs[0].shape[-2], event.inputs[1].shape[-2]) == (length, keys):
                found.append(_core_of_kernel(event))
        elif event.kind == "softmax" and _is_map(event.output, length, keys):
            found.append(_core_of_softmax(events, index))
    if found:
        return found
    shares = [
        index
        for index, event in enumerate(events)
        if event.kind == "share"
        and _is_map(event.output, length, keys)
        and sums_to_one(event.output) is not None
    ]
    return [_core_of_softmax(events, index) for index in shares[:1]]


def sums_to_one(weights: Tensor) -> int | None:
    """Return the axis along which weights sum to 1, None if there is none."""
    live = weights.detach()
    if not bool((live >= 0).all()) or live.shape[-1] < 2:
        return None
    for axis in (-1, -2):
        if bool(((live.sum(axis) - 1).abs() < 1e-4).all()):
            return axis
    return None


def _is_map(weights: Tensor, length: int, keys: int) -> bool:
    """Say whether the queries and keys of weights are the tokens themselves."""
    return weights.dim() >= 2 and tuple(weights.shape[-2:]) in ((length, keys), (keys, length))


def _core_of_kernel(event: Event) -> Core:
    query, key, value = event.inputs
    groups = query.shape[-3] // max(key.shape[-3], 1) if query.dim() == 4 else 1
    wide = key.repeat_interleave(groups, -3) if groups > 1 else key
    scale = event.named.get("scale")
    scale = query.shape[-1] ** -0.5 if scale is None else float(scale)
    scores = query @ wide.transpose(-2, -1) * scale
    mask = event.named.get("attn_mask")
    if isinstance(mask, Tensor):
        scores = (
            scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        )
    if event.named.get("is_causal"):
        tril = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~tril, -torch.inf)
    weights = torch.softmax(scores, -1).nan_to_num()
    return Core(
        *(weights, None, query, key, value, event.output, -1, -1, None, query.shape[-1]),
        kernel_scale=scale,
        is_fused=True,
    )


def _core_of_softmax(events: list[Event], index: int) -> Core:
    event = events[index]
    weights = event.output
    scores = event.inputs[0] if event.inputs else None
    along = int(event.named["dim"]) if scores is not None else sums_to_one(weights) or -1
    along = along - weights.dim() if along >= 0 else along
    query = key = product = None
    head_dim = 0
    for before in reversed(events[:index]):
        if before.kind in PRODUCTS and before.output.numel() == weights.numel():
            query, key = before.inputs[-2:]
            product = before.output.reshape(weights.shape)
            head_dim = _summed_size(before)
            break
    for after in events[index + 1 :]:
        if after.kind not in PRODUCTS:
            continue
        found = _mixed_by(after, weights)
        if found is not None:
            value, over, shares = found
            return Core(
                *(weights, scores, query, key, value, after.output, along, over, product, head_dim),
                shares=shares,
            )
    return Core(weights, scores, query, key, None, None, along, None, product, head_dim)


def _summed_size(event: Event) -> int:
    """Return how many numbers of query and key a product sums over."""
    first = event.inputs[-2]
    equation = event.named.get("equation", "")
    terms, _, result = equation.replace(" ", "").partition("->")
    if "," not in terms:
        return int(first.shape[-1])
    ours, theirs = terms.split(",")[:2]
    if "..." in terms:
        return int(first.shape[-1])
    sizes = [first.shape[i] for i, c in enumerate(ours) if c in theirs and c not in result]
    return int(torch.Size(sizes).numel())


def _mixed_by(event: Event, weights: Tensor) -> tuple[Tensor, int | None, Tensor] | None:
    """Return the other factor, the axis summed over and the weights, if a product takes weights."""
    first, second = event.inputs[-2:]
    if first.requires_grad is False and second.requires_grad is False:
        return None
    for ours, other, is_left in ((first, second, True), (second, first, False)):
        if ours.numel() != weights.numel():
            continue
        turned = _is_turned(ours, weights)
        if turned is None:
            continue
        if event.named.get("equation"):
            return other, _summed_axis(event, ours is first, turned), ours
        over = -1 if is_left else -2
        return other, (over if not turned else -3 - over), ours
    return None


def _is_turned(ours: Tensor, weights: Tensor) -> bool | None:
    """Say whether a factor is the weights as they are (False), turned (True), or neither (None)."""
    flat, like = ours.detach().reshape(-1), weights.detach()
    live = like.reshape(-1)
    if torch.allclose(flat, live, atol=1e-6, equal_nan=True):
        return False
    if torch.allclose(flat, like.transpose(-2, -1).reshape(-1), atol=1e-6, equal_nan=True):
        return True
    if torch.allclose(flat.nan_to_num().sum(), live.nan_to_num().sum(), atol=1e-5):
        return False  # the axes before the map are in another order
    zeroed = (flat == 0) | torch.isclose(flat, live, atol=1e-6)
    return False if bool(zeroed.all()) and bool((flat != 0).any()) else None


def _summed_axis(event: Event, is_first: bool, turned: bool) -> int | None:
    terms, _, result = event.named["equation"].replace(" ", "").partition("->")
    letters = terms.split(",")
    ours: str = letters[0] if is_first else letters[-1]
    gone = [letter for letter in ours if letter not in result and letter.isalpha()]
    if len(gone) != 1:
        return None
    over = ours.index(gone[0]) - len(ours)
    if over not in (-1, -2):
        return None
    return -3 - over if turned else over


def factor_of_scores(core: Core, events: list[Event]) -> float | None:
    """Return the factor between scores and the product of projected query and key.

    None if it is not one number, because of a norm or of something added.
    """
    if core.query is None or core.key is None:
        return None
    parts = [gain(core.query, events), gain(core.key, events)]
    if core.is_fused:
        parts.append(core.kernel_scale)
    else:
        parts.append(ratio(core, events))
    if any(part is None for part in parts):
        return None
    product = 1.0
    for part in parts:
        product *= float(part or 0.0)
    return product


def ratio(core: Core, events: list[Event]) -> float | None:
    """Return scores over the product of query and key, if it is one number."""
    scores = core.weights.detach().log() if core.scores is None else core.scores.detach()
    for event in reversed(events):
        if event.kind in PRODUCTS and len(event.inputs) >= 2 and core.query is event.inputs[-2]:
            if event.output.numel() != scores.numel():
                continue
            assert event.value is not None
            product = event.value.reshape(scores.shape)
            if core.scores is None:  # logarithms of weights are scores but for a number a row
                scores = scores - scores.mean(core.along, keepdim=True)
                product = product - product.mean(core.along, keepdim=True)
            live = scores.isfinite() & (scores > -1e4) & (product.abs() > 1e-2)
            if int(live.sum()) < 4:
                return None
            ratios = scores[live] / product[live]
            middle = ratios.median()
            even = bool(((ratios - middle).abs() <= 1e-2 * middle.abs()).all())
            return float(middle) if even else None
    return None


def gain(tensor: Tensor, events: list[Event]) -> float | None:
    """Return the constant factor between a query or key and its projection, if there is one.

    Rotations keep lengths, so that rotated queries are measured too.
    """
    outputs = [e.output for e in events if e.kind in PROJECTIONS and e.output.requires_grad]
    if not tensor.requires_grad:
        return None
    # The nearest projection is the last one that it was computed from.
    for output in reversed(outputs):
        if output is tensor:
            return 1.0
        if output.numel() < tensor.numel() // 64 or output.shape == ():
            continue
        gains = []
        for place in (0, tensor.numel() // 2, tensor.numel() - 1):
            number = tensor.reshape(-1)[place]
            gradient = torch.autograd.grad(number, output, retain_graph=True, allow_unused=True)[0]
            if gradient is None:
                break
            gains.append(float(gradient.norm()))
        else:
            top = max(gains)
            return top if top > 0 and max(gains) - min(gains) <= 1e-3 * top else None
    return None
