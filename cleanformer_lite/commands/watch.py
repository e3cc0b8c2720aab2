"""`cleanformer-lite watch`: check again each time a file is saved."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cleanformer_lite.commands import Commands, check

if TYPE_CHECKING:
    from cleanformer_lite.commands.check import Results
    from cleanformer_lite.grading.runner import Runner

LOOK_EVERY = 0.3
ABOUT = """\
Check a notebook or .py file now, and again each time you save it. The first exercise that is not
solved comes first, with its card; the others follow, a line each. Ctrl-C ends it.
"""


def add_to(commands: Commands) -> None:
    """Describe the arguments."""
    parser = commands.add_parser("watch", help="check again on every save", description=ABOUT)
    parser.add_argument("file", type=Path, help="a notebook or .py file with answers")
    check.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check until interrupted.

    Raises: OSError or ValueError if the file cannot be used to begin with.
    """
    from cleanformer_lite.grading.limits import Limits
    from cleanformer_lite.grading.runner import Runner

    check.read(arguments.file)
    with Runner(Limits(seconds=arguments.seconds)) as runner:
        try:
            for _ in saves(arguments.file):
                print(checked_again(runner, arguments), flush=True)
        except KeyboardInterrupt:
            print("\nstopped watching")
    return 0


def saves(path: Path) -> Iterator[None]:
    """Yield once at the start, then each time that the file has changed. Never ends."""
    seen: tuple[int, int] | None = None
    while True:
        try:
            status = path.stat()
        except OSError:  # some editors move the old file away before they write the new one
            time.sleep(LOOK_EVERY)
            continue
        now = (status.st_mtime_ns, status.st_size)
        if now != seen:
            seen = now
            yield
        time.sleep(LOOK_EVERY)


def checked_again(runner: "Runner", arguments: argparse.Namespace) -> str:
    """Check the file as it is now; a file that cannot be read just now is no reason to stop."""
    try:
        submission = check.read(arguments.file)
    except (OSError, ValueError) as error:
        return f"waiting: {error}"
    results = check.results_of(runner, submission, arguments.only, arguments.seed)
    check.record(results)
    return f"{time.strftime('%H:%M:%S')}  {arguments.file}\n{as_text(results)}"


def as_text(results: "Results") -> str:
    """Write the next exercise's card, the other answers in a line each, and the points."""
    unsolved = [(row, report) for row, report in results if not row.passed]
    # Work in progress comes first; what has not been begun is only a suggestion.
    begun = [pair for pair in unsolved if pair[0].status != "missing"]
    following = next(iter(begun or unsolved), None)
    lines = []
    if following is not None:
        row, report = following
        begin = f"next: {row.exercise}, not begun (cleanformer-lite hint {row.exercise})"
        lines.append(begin if row.status == "missing" else str(report))
        lines += row.notes
    for row, report in results:
        if row.status != "missing" and (following is None or report is not following[1]):
            lines.append(f"  {row.exercise}: {row.status}")
    points, possible = sum(r.points for r, _ in results), sum(r.max_points for r, _ in results)
    return "\n".join([*lines, f"{points} of {possible} points"])
