"""Ask whether dropout does something in training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cleanformer_lite.checks.examination.bench import differ
from cleanformer_lite.checks.examination.errors import NotAskedError
from cleanformer_lite.checks.examination.known import named
from cleanformer_lite.checks.examination.questions import Examination


def _dropouts(module: nn.Module) -> list[str]:
    """List the attributes that hold a module's dropout rates."""
    found = [
        n for n, part in module.named_modules() if isinstance(part, nn.modules.dropout._DropoutNd)
    ]
    for part_name, part in module.named_modules():
        for name, value in vars(part).items():
            if "drop" in name.lower() and isinstance(value, float):
                found.append(f"{part_name}.{name}".strip("."))
    return found


def drops_in_training(exam: Examination) -> bool | None:
    """Ask whether dropout does something in training mode."""
    bench = exam.bench
    rates = _rates(bench.module)
    if not rates:
        raise NotAskedError("it has no dropout rate")
    was_built_with_it = any(value > 0 for _, _, value in rates)
    train: dict[str, Any] = {"training": True} if "training" in bench.names else {}
    try:
        for part, name, _ in rates:
            setattr(part, name, 0.5)
        bench.module.train()
        with torch.no_grad():
            first, second = bench.call(**train).output, bench.call(**train).output
    finally:
        bench.module.eval()
        for part, name, value in rates:
            setattr(part, name, value)
    if differ(first, second, first):
        return True
    if not was_built_with_it:
        raise NotAskedError("its dropout rate is 0")
    exam.bug(
        named(
            "dropout_unused",
            f"dropout does nothing: {', '.join(_dropouts(bench.module)[:3])}",
            tried="p = 0.5, train(), the same input twice",
            yours="equal outputs",
            target="different outputs",
        )
    )
    return None


def _rates(module: nn.Module) -> list[tuple[object, str, float]]:
    """List every dropout rate of a module: its owner, its name, its value."""
    found: list[tuple[object, str, float]] = []
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            found.append((part, "p", part.p))
            continue
        for name, value in vars(part).items():
            if "drop" in name.lower() and isinstance(value, float):
                found.append((part, name, value))
    return found
