"""`cleanformer-lite evaluate`: the exact match of a translator on days it was not trained on."""

import argparse
from pathlib import Path

from cleanformer_lite.commands import Commands

ABOUT = """\
Translate days that the translator was never trained on, and print the share of those without a
single wrong letter.
"""


def add_to(commands: Commands) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "evaluate", help="score a translator on held-out days", description=ABOUT
    )
    command.add_argument("--model", type=Path, help="a .safetensors file (default: the shipped)")
    command.add_argument("--days", type=int, help="only this many of the held-out days")
    command.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the share of days without a single wrong letter; returns the exit code."""
    from cleanformer_lite.translation.checkpoints import load_model
    from cleanformer_lite.translation.corpus import three_parts
    from cleanformer_lite.translation.decoding import exact_match

    if chosen.days is not None and chosen.days < 1:
        raise ValueError(f"wanted at least one day, got {chosen.days}")
    model, _ = load_model(chosen.model)
    sources, targets = (part[: chosen.days] for part in three_parts()[2])
    right = exact_match(model, sources, targets)
    print(f"exact match on {len(sources)} held-out days: {100 * right:.2f} %")
    return 0
