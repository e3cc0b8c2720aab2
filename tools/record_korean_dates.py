"""Train the translator that the package ships, by the command that a reader would type.

Usage: python tools/record_korean_dates.py [--check], about a minute on one CPU thread. It runs
`cleanformer-lite train` in an empty folder and puts weights and log among the recordings. With
--check it writes nothing, and fails if the command makes other weights than those shipped. Then
run tools/record_head_costs.py: what a head is worth depends on the weights.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from cleanformer_lite.cli import main as command_line
from cleanformer_lite.files import write_file
from cleanformer_lite.translation.checkpoints import read_file

HOME = Path(__file__).resolve().parent.parent / "cleanformer_lite/recordings"
WEIGHTS, LOG = HOME / "korean_dates.safetensors", HOME / "korean_dates.log.jsonl"


def greatest_difference(path: Path) -> float:
    """Compare the weights in a file with those shipped; infinity where the shapes differ."""
    made, shipped = read_file(path)[0], read_file(WEIGHTS)[0]
    shapes = [{name: tuple(t.shape) for name, t in one.items()} for one in (made, shipped)]
    if shapes[0] != shapes[1]:
        return float("inf")
    return max((made[name] - shipped[name]).abs().max().item() for name in made)


def main() -> int:
    """Train, then compare or ship; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the shipped weights")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        code = command_line(["train", folder, "--threads", "1"])
        made = Path(folder) / WEIGHTS.name
        if code or chosen.check:
            difference = float("inf") if code else greatest_difference(made)
            print(f"weights differ from those shipped by at most {difference:g}")
            return int(difference > 0)
        write_file(WEIGHTS, made.read_bytes())
        write_file(LOG, (Path(folder) / "log.jsonl").read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
