"""`cleanformer-lite grade`: grade a course's folder of submissions."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from cleanformer_lite.commands import Commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleanformer_lite.grading.limits import Limits
    from cleanformer_lite.grading.verdict import Graded

ABOUT = """\
Grade every notebook and .py file in a folder, and in the folders within it. Each answer runs in a
process of its own, with limits of time and memory. Expected values never enter that process, and no
bad file stops the others.

DIR gets: grades.csv and grades.json (one row per submission and exercise), junit.xml, results.json
(Gradescope), misconceptions.csv and misconceptions.html (how many learners met which known
mistake). A status is one of passed, failed, missing, timeout, crashed, memory, refused, unreadable.

Interrupted? Run the same command again: what DIR/journal.jsonl holds is not graded twice. A changed
file, other limits or another version of this package are graded anew.

Answers are strangers' code. `python -m cleanformer_lite.grading.confine` says what this machine
keeps away from them.
"""


def add_to(commands: Commands) -> None:
    """Describe the arguments."""
    parser = commands.add_parser(
        "grade",
        help="grade a folder of submissions",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="the folder with the submissions")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results go")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="grade this exercise; repeatable"
    )
    parser.add_argument(
        "--jobs", type=int, help="how many answers at once (default: one for each core)"
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="time limit of one answer (default: 10)"
    )
    parser.add_argument(
        "--memory", type=int, default=2048, metavar="MIB", help="memory of one answer, MiB (2048)"
    )
    parser.add_argument("--seed", type=int, help="draw the same inputs again (default: fresh ones)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Grade, write everything, and say how it went."""
    import torch

    from cleanformer_lite.grading.limits import Limits
    from cleanformer_lite.grading.outputs import write_all

    jobs = arguments.jobs if arguments.jobs is not None else cores()
    if jobs < 1:
        raise ValueError(f"wanted at least 1 job, got {jobs}")
    limits = Limits(seconds=arguments.seconds, memory=arguments.memory)
    signal.signal(signal.SIGTERM, interrupt)
    torch.set_num_threads(1)  # the other processors are for the answers
    rows = graded(arguments, limits, jobs)
    if rows is None:
        print("interrupted; the same command again goes on from here", file=sys.stderr)
        return 130
    write_all(arguments.out, rows)
    print(summary(rows, arguments.out))
    return 0


def graded(arguments: argparse.Namespace, limits: "Limits", jobs: int) -> "list[Graded] | None":
    """Grade the folder with a progress line; None if interrupted."""
    from cleanformer_lite.grading.batch import grade_folder
    from cleanformer_lite.grading.progress_line import ProgressLine

    lines: list[ProgressLine] = []

    def starting(todo: int, done: int) -> None:
        if done and not arguments.quiet:
            print(f"{done} of {done + todo} answers need not be run again", file=sys.stderr)
        lines.append(ProgressLine(todo, "answers"))

    def advance(row: "Graded") -> None:
        if not arguments.quiet:
            lines[0].advance()

    try:
        return grade_folder(
            arguments.folder,
            arguments.out,
            exercises=arguments.only,
            limits=limits,
            jobs=jobs,
            seed=arguments.seed,
            starting=starting,
            graded=advance,
        )
    except KeyboardInterrupt:
        return None


def summary(rows: "Sequence[Graded]", out: Path) -> str:
    """Say in a line or two what was graded and where it is."""
    from collections import Counter

    statuses = Counter(row.status for row in rows)
    counted = ", ".join(f"{number} {status}" for status, number in statuses.most_common())
    submissions = len({row.submission for row in rows})
    return f"{submissions} submissions, {len(rows)} rows: {counted}\nresults are in {out}"


def interrupt(number: int, frame: FrameType | None) -> None:
    """Treat a polite request to end like Ctrl-C, so that nothing is left running."""
    raise KeyboardInterrupt


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
