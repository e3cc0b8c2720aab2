"""Train right and broken modules on two small tasks, and record their losses for the viewer.

`make` does not call this: it takes some minutes, and its result is kept in the package. Run it from
the root, `python tools/record_losses.py`; on one machine the same seed gives the same numbers.
With `--caught` it trains nothing, and only notes anew which properties each module fails.
"""

import datetime
import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from write_mistakes import failing, mistake_modules  # noqa: E402

from cleanformer_lite import (  # noqa: E402
    HeadsBuiltInForward,
    HeadsInPlainList,
    LoopedMultiHeadAttention,
    SplitMultiHeadAttention,
)
from cleanformer_lite.checks.engine.attention import module_of  # noqa: E402
from cleanformer_lite.checks.mistakes import MISTAKES  # noqa: E402
from cleanformer_lite.copy_back import copy_back_accuracy, train_copy_back  # noqa: E402
from cleanformer_lite.files import write_file  # noqa: E402

WRITTEN = ROOT / "cleanformer_lite" / "viewers" / "trained_anyway.json"
TASKS = {
    "the letter three positions back": (3,),
    "the letters one and three positions back": (1, 3),
}
EMBED_DIM, HEADS, STEPS, EVERY, SEED = 32, 4, 250, 10, 0
RIGHT: dict[str, type[nn.Module]] = {
    "split_heads": SplitMultiHeadAttention,
    "looped_heads": LoopedMultiHeadAttention,
}
SPECIMENS: dict[str, type[nn.Module]] = {
    "built_in_forward": HeadsBuiltInForward,
    "plain_list": HeadsInPlainList,
}
SPECIES = [
    "shared_layer",
    "split_without_transpose",
    "merge_without_transpose",
    "softmax_over_queries",
    "scaled_by_embed_dim",
    "mask_after_softmax",
    "value_uses_key",
    "causal_mask_shifted",
]


def mistaken(species: str) -> type[nn.Module]:
    """Return the module that makes one of the known mistakes, its output alone."""
    kind = module_of(MISTAKES[species].classes[0])

    class OutputAlone(kind):  # type: ignore[valid-type, misc]
        def forward(self, x: Tensor, *, is_causal: bool = False) -> Tensor:
            output: Tensor = super().forward(x, is_causal=is_causal)[0]
            return output

    return OutputAlone


def record(kind: type[nn.Module], offsets: tuple[int, ...]) -> dict[str, Any]:
    """Train one module on one task; keep the mean loss of every ten steps, and its accuracy."""
    model, losses = train_copy_back(
        lambda: kind(EMBED_DIM, HEADS), EMBED_DIM, offsets=offsets, steps=STEPS, seed=SEED
    )
    means = torch.tensor(losses).view(-1, EVERY).mean(dim=1)
    return {
        "losses": [round(loss, 3) for loss in means.tolist()],
        "accuracy": round(copy_back_accuracy(model, offsets), 3),
    }


def caught_by(name: str) -> list[str]:
    """Name the properties that a module fails: none for a right one."""
    return [] if name in RIGHT else list(failing(mistake_modules()[name][0]))


def main() -> None:
    """Record every module on every task, and write down what it was measured on."""
    if "--caught" in sys.argv[1:]:
        recorded = json.loads(WRITTEN.read_text(encoding="utf8"))
        for run in recorded["runs"]:
            run["caught"] = caught_by(run["name"])
        write(recorded)
        return
    kinds = RIGHT | SPECIMENS | {species: mistaken(species) for species in SPECIES}
    runs = []
    for name, kind in kinds.items():
        results = {task: record(kind, offsets) for task, offsets in TASKS.items()}
        broken = name not in RIGHT
        runs.append({"name": name, "broken": broken, "caught": caught_by(name), "tasks": results})
        print(name, {task: (r["losses"][-1], r["accuracy"]) for task, r in results.items()})
    setting = (
        f"E = {EMBED_DIM}, H = {HEADS}, float32, residual, Adam 0.01, {STEPS} steps, seed {SEED}, "
        f"one {platform.machine()} CPU thread, torch {torch.__version__}, "
        f"{datetime.date.today().isoformat()}"
    )
    write({"setting": setting, "every": EVERY, "tasks": TASKS, "runs": runs})


def write(recorded: dict[str, Any]) -> None:
    """Write the record where the viewer reads it, whole or not at all."""
    write_file(WRITTEN, json.dumps(recorded, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
