"""Switch the heads of two translators off, one by one and in groups, and keep what it costs.

Usage: python tools/record_head_costs.py [--days N], about ten minutes on one CPU thread. It asks
the shipped model and the one with sliced heads on all held-out days, or on the first N. Run it
again after either was trained again: after tools/record_korean_dates.py, or
tools/record_translators.py.
"""

import argparse
import datetime
import json
import platform
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from cleanformer_lite.files import write_file
from cleanformer_lite.split_heads import SplitMultiHeadAttention
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.checkpoints import load_model
from cleanformer_lite.translation.corpus import Pairs, as_tensors, three_parts
from cleanformer_lite.translation.decoding import exact_match, translate
from cleanformer_lite.translation.kinds import load_recorded
from cleanformer_lite.translation.looking_inside import (
    attention_modules,
    mean_reads,
    number_of_heads,
    without_head,
)
from cleanformer_lite.translation.six_bits import rounded
from cleanformer_lite.translation.swap_attention import swap_attention

FILE = Path(__file__).resolve().parent.parent / "cleanformer_lite/recordings/head_costs.json"


def costs(model: Transformer, held_out: Pairs, *, means: bool) -> dict[str, Any]:
    """Measure the share of held-out days that are still right without each head and each group."""
    _, check, _ = three_parts()
    source, target = as_tensors(check)
    mean = mean_reads(model, source, target[:, :-1])
    modules = attention_modules(model)
    found: dict[str, Any] = {"right": round(exact_match(model, *held_out), 5)}
    for name, module in modules.items():
        print(name, flush=True)
        heads = range(number_of_heads(module))
        alone, by_mean = [], []
        for head in heads:
            with without_head(module, head):
                alone.append(round(exact_match(model, *held_out), 4))
            if means:
                with without_head(module, head, instead=mean[name][head]):
                    by_mean.append(round(exact_match(model, *held_out), 4))
        with ExitStack() as off:
            for head in heads:
                off.enter_context(without_head(module, head))
            group = round(exact_match(model, *held_out), 4)
        found.setdefault("without one head", {})[name] = alone
        found.setdefault("without the group", {})[name] = group
        if means:
            found.setdefault("its mean instead", {})[name] = by_mean
    return found


def rounding(model: Transformer, held_out: Pairs) -> dict[str, Any]:
    """Compare the model with itself after its weights were rounded to six bits."""
    sources, targets = held_out
    before, after = translate(model, sources), translate(rounded(model), sources)
    right = sum(a == b for a, b in zip(after, targets, strict=True))
    other = sum(a != b for a, b in zip(after, before, strict=True))
    return {"right": round(right / len(targets), 5), "other days than in float32": other}


def main() -> None:
    """Measure both, and write the file that viewer and page read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, help="how many held-out days (default: all)")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    sources, targets = three_parts()[2]
    held_out = (sources[: chosen.days], targets[: chosen.days])
    models = {
        "fused": load_model()[0],
        # The same function, in a build that computes it faster.
        "sliced": swap_attention(load_recorded("sliced"), SplitMultiHeadAttention),
    }
    recorded: dict[str, Any] = {
        "what": "share of the held-out days translated without a wrong letter, heads switched off",
        "held-out days": len(held_out[0]),
        "device": f"one {platform.machine()} CPU thread",
        "dtype": "float32",
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
        "command": "python tools/record_head_costs.py",
        "models": {},
    }
    for kind, model in models.items():
        print(kind, flush=True)
        found = costs(model, held_out, means=kind == "fused")
        recorded["models"][kind] = {**found, "rounded to six bits": rounding(model, held_out)}
    write_file(FILE, json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
