"""`cleanformer-lite translate`: a date in Korean words, in English."""

import argparse
from pathlib import Path

from cleanformer_lite.commands import Commands

ABOUT = """\
Translate a date from 1900 to 2099, as in "Monday, November 23, 2026". What is no such date is
refused, with the place.
"""


def add_to(commands: Commands) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "translate", help="translate a date in Korean words", description=ABOUT
    )
    command.add_argument("text", help='such as "이천이십육년 십일월 이십삼일 월요일"')
    command.add_argument("--model", type=Path, help="a .safetensors file (default: the shipped)")
    command.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the translation, after a look at the text; returns the exit code."""
    from cleanformer_lite.translation.korean_dates import read_korean

    read_korean(chosen.text)  # refuses what is no date, with the place, before torch is loaded

    from cleanformer_lite.translation.checkpoints import load_model
    from cleanformer_lite.translation.decoding import translate

    model, _ = load_model(chosen.model)
    print(translate(model, [chosen.text])[0])
    return 0
