"""The command line `cleanformer-lite`, for use without a notebook.

Nothing here imports torch, so that help comes at once; each command imports what it needs.
"""

import argparse
import sys
from collections.abc import Sequence

from cleanformer_lite.commands import course, examine, handing_in, learner, translator, watch

# A module needs `add_to(commands)`, which describes its commands and sets `run` for each: a
# function from the parsed arguments to an exit code.
COMMANDS = (examine, learner, watch, course, handing_in, translator)

FIRST_STEPS = """\
first steps:
  cleanformer-lite examine mypackage.model:MyAttention
  cleanformer-lite list                         what there is to solve
  cleanformer-lite check answers.ipynb          check what you have written so far
  cleanformer-lite watch answers.py             check again each time you save
  cleanformer-lite hint split_heads.merge       one step of help
  cleanformer-lite grade submissions --out grades
  cleanformer-lite isolation                    what strangers' answers are kept away from
  cleanformer-lite translate "이천이십육년 십일월 이십삼일 월요일"

An exercise is answered by defining its name: a file that defines `merge_heads` answers
split_heads.merge. A file may hold any number of answers, and anything else.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    chosen = parser().parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except (OSError, ValueError) as error:
        print(f"cleanformer-lite {chosen.command}: {_text_of(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"cleanformer-lite {chosen.command}: interrupted", file=sys.stderr)
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    whole = argparse.ArgumentParser(
        prog="cleanformer-lite",
        description="Exercises on multi-head attention: check answers, or grade a whole course.",
        epilog=FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="command")
    for command in COMMANDS:
        command.add_to(commands)
    return whole


def _text_of(error: Exception) -> str:
    """Write an error; for a file, name it and leave out the error number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}"
    return str(error) or type(error).__name__
