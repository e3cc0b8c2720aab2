"""Which output moves with which token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.examination.bench import TOLERANCE, Bench

MOST = 6


def positions(bench: Bench) -> list[int]:
    """Choose the tokens to change: all of a short sequence, six of a long one."""
    keys = bench.keys
    if keys <= MOST:
        return list(range(keys))
    return sorted({0, 1, keys // 3, (2 * keys) // 3, keys - 2, keys - 1})


@torch.no_grad()
def influence(bench: Bench, by: float = 2.0, **named: Any) -> tuple[Tensor, list[int]]:
    """Return `(L, P)`: how much each output moves with each chosen token, relative to the largest.

    The chosen tokens come with it.
    """
    before = bench.tokens(bench.call(**named).output)
    top = max(float(before.nan_to_num().abs().max()), 1e-3)
    chosen = positions(bench)
    columns = []
    for token in chosen:
        after = bench.tokens(bench.call(bench.changed(token, by), **named).output)
        gap = (after - before).abs()
        gap = torch.where(after.isnan() == before.isnan(), gap.nan_to_num(0.0), torch.inf)
        columns.append(gap.amax(dim=(0, 2)) / top)
    return torch.stack(columns, dim=1), chosen


def pattern(changes: Tensor, chosen: list[int]) -> str:
    """Name the pattern: full, causal, or what kind of neither."""
    reads = changes > TOLERANCE
    queries, tokens = torch.arange(len(reads))[:, None], torch.tensor(chosen)[None]
    for name, allowed in (
        ("full", queries == queries),
        ("causal", tokens <= queries),
        ("strict", tokens < queries),
        ("next", tokens <= queries + 1),
        ("flipped", tokens >= queries),
    ):
        if torch.equal(reads, allowed.expand_as(reads)):
            return name
    if not bool((reads & (tokens > queries)).any()):
        return "causal within a window"
    if not bool((reads & (tokens != queries)).any()):
        return "own token only"
    return "other"
