"""Train what chapters 2 and 3 train, and keep what their heads attend to every ten steps.

Usage: python tools/record_films.py, some minutes on one CPU thread.
"""

import datetime
import json
import platform
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite import HeadsBuiltInForward, HeadsInPlainList, LoopedMultiHeadAttention
from cleanformer_lite.copy_back import LETTERS, CopyBackModel, copy_back_batch, train_copy_back
from cleanformer_lite.threads import in_threads

FILE = Path(__file__).resolve().parent.parent / "cleanformer_lite/recordings/films.json"
EMBED_DIM, LENGTH, STEPS, EVERY, SEED = 32, 9, 250, 10, 0
# A share between 0 and 1 is one character: a 63rd is finer than a cell can show.
DIGITS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
SUSPECTS = {
    "built in forward": HeadsBuiltInForward,
    "plain list": HeadsInPlainList,
    "ModuleList": LoopedMultiHeadAttention,
}


def write_shares(weights: Tensor) -> list[str]:
    """Write each head's shares as text, row by row, without the future.

    Shapes: weights `(H, L, L)`, causal.
    """
    rows, columns = torch.tril_indices(*weights.shape[1:])
    found = (weights[:, rows, columns] * (len(DIGITS) - 1)).round().int().tolist()
    return ["".join(DIGITS[share] for share in head) for head in found]


def movement(model: CopyBackModel, start: CopyBackModel) -> dict[str, float | None]:
    """Return how far heads and embeddings have moved: the root of the mean square of all changes.

    Heads that live for one call have not moved: there are none.
    """

    def between(parts: Callable[[CopyBackModel], list[nn.Module]]) -> float | None:
        pairs = [
            (new - old).flatten()
            for one, other in zip(parts(model), parts(start), strict=True)
            for new, old in zip(one.parameters(), other.parameters(), strict=True)
        ]
        return round(torch.cat(pairs).square().mean().sqrt().item(), 4) if pairs else None

    return {
        "heads": between(lambda one: list(getattr(one.attention, "heads", []))),
        "embeddings": between(lambda one: [one.letter, one.position]),
    }


def film(
    attention: Callable[[], nn.Module], letters: Tensor, offsets: tuple[int, ...], residual: bool
) -> dict[str, Any]:
    """Train to every tenth step; the same seed makes each longer training go on from the shorter.

    A loss is the mean of the ten steps before, and at first the first step's.
    """

    def train(steps: int) -> tuple[CopyBackModel, list[float]]:
        return train_copy_back(
            attention, EMBED_DIM, offsets=offsets, residual=residual, steps=steps, seed=SEED
        )

    start, losses = train(0)[0], train(STEPS)[1]
    means = [losses[0], *torch.tensor(losses).view(-1, EVERY).mean(dim=1).tolist()]
    maps, moved = [], []
    for steps in range(0, STEPS + 1, EVERY):
        model, _ = train(steps)
        with torch.no_grad():
            x = model.letter(letters) + model.position.weight
            weights = model.attention(x, is_causal=True, need_weights=True)[1]
        maps.append(write_shares(weights[0]))
        moved.append(movement(model, start))
    return {
        "losses": [round(loss, 3) for loss in means],
        "maps": maps,
        "moved": {name: [each[name] for each in moved] for name in moved[0]},
    }


def record_films() -> dict[str, Any]:
    """Record both chapters: six trainings on one letter back, two on two letters back."""
    letters, _ = copy_back_batch(1, LENGTH, (3,), torch.Generator().manual_seed(0))
    suspects = [
        {"name": name, "residual": residual}
        | film(lambda kind=kind: kind(EMBED_DIM, 4), letters, (3,), residual)  # type: ignore[misc]
        for residual in (True, False)
        for name, kind in SUSPECTS.items()
    ]
    heads = [
        {"name": name, "residual": True}
        | film(lambda h=h: LoopedMultiHeadAttention(EMBED_DIM, h), letters, (1, 3), True)  # type: ignore[misc]
        for name, h in {"one head of 32": 1, "two heads of 16": 2}.items()
    ]
    return {
        "what": "loss, attention weights on one sequence and movement of weights in training",
        "device": f"one {platform.machine()} CPU thread",
        "dtype": "float32; weights in 63rds",
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
        "command": "python tools/record_films.py",
        "seed": SEED,
        "steps": STEPS,
        "every": EVERY,
        "letters": [LETTERS[letter] for letter in letters[0]],
        "films": {
            "registration_bug": {"offsets": [3], "runs": suspects},
            "looped_heads": {"offsets": [1, 3], "runs": heads},
        },
    }


def main() -> None:
    """Train, and write the file that the viewer reads."""
    with in_threads(1):
        recorded = record_films()
    FILE.write_text(json.dumps(recorded, separators=(",", ":")) + "\n", encoding="utf8")
    print(f"{FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
