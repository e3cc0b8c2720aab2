"""`cleanformer-lite check`: try every answer in one file."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cleanformer_lite.commands import Commands

if TYPE_CHECKING:
    from cleanformer_lite.checks import Report
    from cleanformer_lite.grading.runner import Runner
    from cleanformer_lite.grading.submissions import Submission
    from cleanformer_lite.grading.verdict import Graded

    Results = list[tuple[Graded, Report]]

ABOUT = """\
Check every answer in a notebook or a .py file. Each answer runs in a process of its own, with
limits of time and memory; of the file, only the statements that it needs are run. What you have
solved is noted in cleanformer_lite_progress.json beside you, where `list` finds it.

Exit code: 0 if everything that is answered passes, 1 if not, 2 if the file cannot be used.
"""


def add_to(commands: Commands) -> None:
    """Describe the arguments."""
    parser = commands.add_parser(
        "check",
        help="check the answers in one notebook or .py file",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="a notebook or .py file with answers")
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options that `check` and `watch` share."""
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="check this exercise; repeatable"
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="time limit of one answer (default: 10)"
    )
    parser.add_argument("--seed", type=int, help="draw the same inputs again (default: fresh ones)")


def run(arguments: argparse.Namespace) -> int:
    """Check once, and print what came of it."""
    from cleanformer_lite.grading.limits import Limits
    from cleanformer_lite.grading.runner import Runner

    submission = read(arguments.file)
    with Runner(Limits(seconds=arguments.seconds)) as runner:
        results = results_of(runner, submission, arguments.only, arguments.seed)
    record(results)
    if arguments.json:
        print(json.dumps([row.as_dict() for row, _ in results], indent=1))
    else:
        print(as_text(results))
    answered = [row for row, _ in results if row.status != "missing"]
    return 0 if answered and all(row.passed for row in answered) else 1


def read(path: Path) -> "Submission":
    """Read a file with answers.

    Raises: OSError or ValueError if it cannot be used.
    """
    from cleanformer_lite.grading.submissions import SUFFIXES, load

    if not path.exists():
        raise FileNotFoundError(f"wanted a notebook or .py file, but {path} does not exist")
    if path.suffix not in SUFFIXES:
        raise ValueError(f"wanted a notebook or .py file, got {path}")
    submission = load(path.resolve(), path.name)
    if submission.trouble is not None:
        status, why = submission.trouble
        raise ValueError(f"{path} is {status}: {why}")
    return submission


def results_of(
    runner: "Runner", submission: "Submission", only: list[str], seed: int | None
) -> "Results":
    """Try every exercise that is asked for, all if none is named."""
    import secrets

    from cleanformer_lite.grading.batch import known
    from cleanformer_lite.grading.verdict import grade_one

    drawn = secrets.randbelow(2**31) if seed is None else seed
    return [grade_one(runner, submission, exercise, drawn) for exercise in known(only)]


def record(results: "Results") -> None:
    """Note what has been solved, for `list`."""
    from cleanformer_lite.checks import Progress

    progress = Progress.load()
    for row, report in results:
        if row.status != "missing":
            progress.record(report)


def as_text(results: "Results") -> str:
    """Write a card for each answer, what else went wrong, and what is not answered yet."""
    answered = [(row, report) for row, report in results if row.status != "missing"]
    pieces = [str(report) for _, report in answered]
    notes = dict.fromkeys(note for row, _ in answered for note in row.notes)
    if notes:
        pieces.append("\n".join(["These statements of the file raised:", *notes]))
    missing = [row.exercise for row, _ in results if row.status == "missing"]
    if missing:
        pieces.append(f"Not answered yet: {', '.join(missing)}")
    points = sum(row.points for row, _ in answered)
    possible = sum(row.max_points for row, _ in results)
    solved = sum(row.passed for row, _ in answered)
    pieces.append(f"{solved} of {len(answered)} answers pass, {points} of {possible} points")
    return "\n\n".join(pieces)
