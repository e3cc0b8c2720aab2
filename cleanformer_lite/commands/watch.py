"""The command of learners with an editor: `watch`."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cleanformer_lite.commands import Commands, add, learner

if TYPE_CHECKING:
    from cleanformer_lite.checks.grading.result import Result
    from cleanformer_lite.checks.grading.runner import Runner

LOOK_EVERY = 0.3
ABOUT = """\
Check a notebook or .py file now, and again each time you save it. The first exercise that is not
solved comes first, with its card; the others follow, a line each. Ctrl-C ends it.
"""


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = add(commands, "watch", "check again on every save", ABOUT)
    learner.add_options(parser)
    parser.set_defaults(run=watch)


def watch(arguments: argparse.Namespace) -> int:
    """Check until interrupted.

    Raises: OSError or ValueError if the file cannot be used to begin with.
    """
    from cleanformer_lite.checks.grading.limits import Limits
    from cleanformer_lite.checks.grading.runner import Runner

    learner.read(arguments.file)
    with Runner(Limits(seconds=arguments.seconds)) as runner:
        try:
            for _ in saves(arguments.file):
                print(_checked_again(runner, arguments), flush=True)
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


def _checked_again(runner: "Runner", arguments: argparse.Namespace) -> str:
    """Check the file as it is now; go on waiting if it cannot be read."""
    try:
        results = learner.results_of(runner, learner.read(arguments.file), arguments)
    except (OSError, ValueError) as error:
        return f"waiting: {error}"
    saved = learner.record(results)
    text = f"{time.strftime('%H:%M:%S')}  {arguments.file}\n{_next_first(results)}"
    return f"{text}\n{saved}" if saved else text


def _next_first(results: "list[Result]") -> str:
    """Write the next exercise's card, a line for each other answer, and the points."""
    unsolved = [result for result in results if not result.passed]
    # Work in progress comes first; what has not been begun is only a suggestion.
    begun = [result for result in unsolved if result.status != "missing"]
    following = next(iter(begun or unsolved), None)
    lines = []
    if following is not None:
        name = following.exercise
        begin = f"next: {name}, not begun (cleanformer-lite hint {name})"
        lines.append(begin if following.status == "missing" else following.card)
        lines += following.notes
    for result in results:
        if result.status != "missing" and result is not following:
            lines.append(f"  {result.exercise}: {result.status}")
    points, possible = sum(r.points for r in results), sum(r.max_points for r in results)
    return "\n".join([*lines, f"{points:g} of {possible} points"])
