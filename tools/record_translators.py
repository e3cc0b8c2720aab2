"""Train the date translator with each kind of attention, and keep what it scores.

Usage: python tools/record_translators.py, about seven minutes on one CPU thread. Every finished run
is written at once; stopped and started again, it goes on with the runs that are missing. From the
first seed it keeps the weights with sliced heads and with heads built in forward, in half
precision: chapter 7 lets them translate.
"""

import datetime
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from cleanformer_lite.files import write_file
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.corpus import three_parts
from cleanformer_lite.translation.decoding import exact_match, translate
from cleanformer_lite.translation.kinds import KEPT, KINDS
from cleanformer_lite.translation.training import SIZES, Trainer, new_model

HOME = Path(__file__).resolve().parent.parent / "cleanformer_lite/recordings"
FILE, WEIGHTS = HOME / "translators.json", HOME / "translators.safetensors"
SEEDS = (0, 1, 2)
STEPS = 1200


def record(kind: str, seed: int) -> dict[str, Any]:
    """Train one translator as `cleanformer-lite train` does, and test it on all held-out days."""
    torch.manual_seed(seed)
    model = new_model(**SIZES, attention=KINDS[kind])
    train, check, held_out = three_parts()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(model, Path(folder), seed=seed, steps=STEPS)
        trainer.run(train, check)
    if seed == SEEDS[0] and kind in KEPT:
        keep_weights(kind, model)
    torch.manual_seed(seed)  # heads that are built in forward are drawn anew in every call
    found = {
        "kind": kind,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": trainer.step,
        "epochs": round(trainer.step * trainer.batch / len(train[0]), 2),
        "last loss": trainer.log[-1]["loss"],
        "exact match": round(exact_match(model, *held_out), 5),
        "seconds": round(trainer.seconds, 1),
        "CPU seconds": round(trainer.cpu_seconds, 1),
        "date": datetime.date.today().isoformat(),
    }
    if kind == "none":  # it reads no date, so it writes one line whatever the date is
        found["writes"] = translate(model, held_out[0][:1])[0]
    return found


def keep_weights(kind: str, model: Transformer) -> None:
    """Put one model's weights beside the others, in half precision."""
    kept = load_file(WEIGHTS) if WEIGHTS.exists() else {}
    kept |= {f"{kind}/{name}": tensor.half() for name, tensor in model.state_dict().items()}
    write_file(WEIGHTS, save(kept))


def main() -> None:
    """Make the runs that are missing, and write the file that the page reads."""
    torch.set_num_threads(1)
    birth = {
        "what": "share of the held-out days translated without a wrong letter, by attention",
        "held-out days": len(three_parts()[2][0]),
        "device": f"one {platform.machine()} CPU thread",
        "dtype": "float32",
        "torch": torch.__version__,
        "command": "python tools/record_translators.py",
    }
    runs = json.loads(FILE.read_text(encoding="utf8"))["runs"] if FILE.exists() else []
    done = {(run["kind"], run["seed"]) for run in runs}
    for seed in SEEDS:
        for kind in KINDS:
            if (kind, seed) not in done:
                runs.append(record(kind, seed))
                print(runs[-1], flush=True)
                lines = ",\n  ".join(json.dumps(run) for run in runs)
                head = json.dumps(birth, indent=1)[:-2]
                write_file(FILE, f'{head},\n "runs": [\n  {lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
