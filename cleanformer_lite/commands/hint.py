"""`cleanformer-lite hint`: help, one step at a time."""

import argparse

from cleanformer_lite.commands import Commands

ABOUT = """\
Print the task of an exercise and one step of help: first a nudge, then the place, then the fix.
"""


def add_to(commands: Commands) -> None:
    """Describe the arguments."""
    parser = commands.add_parser("hint", help="one step of help", description=ABOUT)
    parser.add_argument("exercise", metavar="ID", help="an exercise, such as split_heads.merge")
    parser.add_argument("--step", type=int, default=1, help="how far to go (default: 1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one hint, and how to get the next.

    Raises: ValueError for an exercise or a step that does not exist.
    """
    from cleanformer_lite.checks import find

    exercise = find(arguments.exercise)
    hints, step = exercise.hints, arguments.step
    if not 1 <= step <= len(hints):
        raise ValueError(f"wanted a step from 1 to {len(hints)}, got {step}")
    print(exercise.prompt)
    print(f"\nHint {step} of {len(hints)}: {hints[step - 1]}")
    if step < len(hints):
        print(f"\nMore: cleanformer-lite hint {exercise.id} --step {step + 1}")
    return 0
