"""Train each family on both layouts of the retrieval task from several seeds, and keep the scores.

Usage: python tools/record_separation.py, about ten minutes on one CPU thread.
"""

import datetime
import json
import platform
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from cleanformer_lite import (
    SlicedMultiHeadAttention,
    SplitMultiHeadAttention,
    WideMultiHeadAttention,
)
from cleanformer_lite.retrieval import (
    FEATURES,
    LAYOUTS,
    model_of_size,
    retrieval_accuracy,
    train_retrieval,
)

FILE = Path(__file__).resolve().parent.parent / "cleanformer_lite/recordings/separation.json"
SEEDS = range(7)
STEPS, BUDGET, HEADS = 400, 2800, 2
FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "split": lambda: SplitMultiHeadAttention(FEATURES, HEADS),
    "sliced": lambda: SlicedMultiHeadAttention(FEATURES, HEADS),
    "sliced, shared": lambda: SlicedMultiHeadAttention(FEATURES, HEADS, shared=True),
    "wide": lambda: WideMultiHeadAttention(FEATURES, HEADS),
}


def record(layout: str, family: str) -> list[float]:
    """Return the accuracy of one family on one layout, a number for each seed."""
    scores = []
    for seed in SEEDS:
        model = train_retrieval(FAMILIES[family], layout, budget=BUDGET, steps=STEPS, seed=seed)
        scores.append(retrieval_accuracy(model, layout))
    print(f"{layout:10} {family:16} {scores}", flush=True)
    return scores


def main() -> None:
    """Measure, and write the file that the page reads."""
    torch.set_num_threads(1)
    sizes = {
        name: sum(p.numel() for p in model_of_size(make(), BUDGET).parameters())
        for name, make in FAMILIES.items()
    }
    recording = {
        "what": "share of values named right on 2,000 fresh queries, one number a seed",
        "device": f"one {platform.machine()} CPU thread",
        "dtype": "float32",
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
        "command": "python tools/record_separation.py",
        "seeds": list(SEEDS),
        "steps": STEPS,
        "parameters": sizes,
        "accuracy": {name: {f: record(name, f) for f in FAMILIES} for name in LAYOUTS},
    }
    FILE.write_text(json.dumps(recording, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
