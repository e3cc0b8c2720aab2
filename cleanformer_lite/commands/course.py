"""The commands of teachers: `grade`, `merge`, `isolation`."""

import argparse
import errno
import os
import re
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from cleanformer_lite.commands import Commands, add

if TYPE_CHECKING:
    from cleanformer_lite.checks.grading.executors import GradesElsewhere
    from cleanformer_lite.checks.grading.grade import Course

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ABOUT_GRADE = """\
Grade every notebook and .py file in a folder, and in the folders within it. Each answer runs in a
process of its own, with limits of time and memory. Expected values never enter that process, and no
bad file stops the others.

DIR gets: grades.csv and grades.json (one row for each learner and exercise), learners.csv (points
by chapter), learners/NAME.html (a page for each), misconceptions.html and .csv (who made which
known mistake), canvas.csv, moodle.csv, results.json (Gradescope), junit.xml, and skipped.csv (files
that were not graded, and why). A status is one of passed, failed, missing, timeout, crashed,
memory, refused, unreadable.

A learner is the first folder of a file's path, or the file itself where it lies in no folder.
--learner '{name}_*' says otherwise: {name} is the learner, * is anything. Of several answers to one
exercise the best counts.

Interrupted? Run the same command again: what DIR/journal.jsonl holds is not graded twice. Changed
code, a changed exercise, other limits or another version of this package are graded anew.

Answers are strangers' code. `cleanformer-lite isolation` says what this machine keeps away from
them, and what it does not.
"""
ABOUT_MERGE = """\
Bring together what several runs of `grade --shard` wrote, and write all files for the whole course.
"""
ABOUT_ISOLATION = """\
Say what keeps strangers' answers apart on this machine: from your files, your processes, the
network, and each other. Say also what is not prevented. The same text stands in grades.json, beside
what was graded under it.
"""


def add_to(commands: Commands) -> None:
    """Describe the commands."""
    parser = add(commands, "grade", "grade a folder of submissions", ABOUT_GRADE)
    _add_grade_options(parser)
    parser.set_defaults(run=grade)

    parser = add(commands, "merge", "bring together the parts of a course", ABOUT_MERGE)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a part's results")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results go")
    parser.set_defaults(run=merge)

    parser = add(commands, "isolation", "say what answers are kept away from", ABOUT_ISOLATION)
    parser.set_defaults(run=isolation)


def _add_grade_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of `grade`."""
    flag: dict[str, Any] = {"action": "store_true"}
    option = parser.add_argument
    option("folder", type=Path, help="the folder with the submissions")
    option("--out", type=Path, required=True, metavar="DIR", help="where results go")
    option("--only", action="append", default=[], metavar="ID", help="this exercise; repeatable")
    who = parser.add_argument_group("whose files these are")
    who.add_argument("--learner", metavar="PATTERN", help="such as '{name}_*' or '*/{name}.ipynb'")
    who.add_argument("--one-learner", metavar="NAME", help="everything is one learner's")
    who.add_argument("--roster", type=Path, metavar="CSV", help="all learners, names first")
    how = parser.add_argument_group("how they are graded")
    how.add_argument("--partial", **flag, help="give points for the properties that hold")
    how.add_argument("--seconds", type=float, default=10.0, help="of one answer (default: 10)")
    how.add_argument(
        "--memory", type=int, default=2048, metavar="MIB", help="of one answer (default: 2048)"
    )
    how.add_argument("--seed", type=int, help="draw the same inputs again (default: fresh ones)")
    how.add_argument("--regrade", **flag, help="run everything again, whatever was done before")
    how.add_argument(
        "--isolation",
        choices=("auto", "bubblewrap", "kernel", "none"),
        default="auto",
        help="the isolation to insist on; none accepts any (default: auto)",
    )
    where = parser.add_argument_group("where the work is done")
    where.add_argument("--jobs", type=int, help="answers at once (default: one for each core)")
    where.add_argument(
        "--executor",
        choices=("local", "dask"),
        default="local",
        help="dask needs pip install 'cleanformer_lite[dask]'",
    )
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask cluster (default: one on this machine)"
    )
    where.add_argument("--shard", metavar="K/N", help="only part K of N of the learners, see merge")
    where.add_argument("--quiet", **flag, help="show no progress")


# ------------------------------------------------------------------------------------------ grade


def grade(arguments: argparse.Namespace) -> int:
    """Grade, write all files, and print a summary.

    Raises: ValueError if the disk is full; results so far are kept.
    """
    try:
        return _grade(arguments)
    except OSError as error:
        if error.errno not in FULL:
            raise
        why = f"{error.filename or arguments.out}: {os.strerror(error.errno).lower()}"
        again = "make room, and run the same command again: what is graded is kept"
        raise ValueError(f"{why}; {again}") from error


def _grade(arguments: argparse.Namespace) -> int:
    import torch

    from cleanformer_lite.checks.grading.grade import grade_folder
    from cleanformer_lite.checks.grading.outputs import write_all
    from cleanformer_lite.checks.grading.sandbox import require

    shard = _shard(arguments.shard)
    sandbox = require(arguments.isolation)
    signal.signal(signal.SIGTERM, _interrupt)
    torch.set_num_threads(1)  # the other processors are for the answers
    executor = _executor(arguments)
    try:
        course = grade_folder(
            arguments.folder,
            arguments.out,
            executor,
            exercises=arguments.only,
            learner=arguments.learner,
            everything_of=arguments.one_learner,
            roster=arguments.roster,
            shard=shard,
            seed=arguments.seed,
            partial=arguments.partial,
            regrade=arguments.regrade,
            progress=_quietly if arguments.quiet else _with_bar,
        )
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on from here", file=sys.stderr)
        return 130
    finally:
        executor.close()
    write_all(arguments.out, course, sandbox)
    print(_summary(course, arguments.out))
    return 0


def _executor(arguments: argparse.Namespace) -> "GradesElsewhere":
    """Return the executor.

    Raises: ValueError for options that do not go together, or if Dask is not installed.
    """
    from cleanformer_lite.checks.grading.executors import DaskExecutor, LocalExecutor
    from cleanformer_lite.checks.grading.limits import Limits
    from cleanformer_lite.checks.grading.runner import Runner

    jobs = _cores() if arguments.jobs is None else arguments.jobs
    if jobs < 1:
        raise ValueError(f"wanted at least 1 job, got {jobs}")
    limits = Limits(seconds=arguments.seconds, memory=arguments.memory)
    if arguments.executor == "dask":
        try:
            return DaskExecutor(limits, jobs, arguments.isolation, arguments.scheduler)
        except ImportError as error:
            raise ValueError(
                "--executor dask needs pip install 'cleanformer_lite[dask]'"
            ) from error
    if arguments.scheduler:
        raise ValueError("--scheduler goes with --executor dask")
    return LocalExecutor(Runner(limits, jobs, arguments.isolation))


def _shard(text: str | None) -> tuple[int, int] | None:
    """Read `3/20`.

    Raises: ValueError if the text is no such part.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    number, parts = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= parts:
        raise ValueError(f"wanted a part such as 3/20, from 1 to 20, got {text}")
    return number, parts


def _with_bar(done: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    """Show a progress bar on a terminal, and a line now and then in a log."""
    from tqdm import tqdm

    every = 0.1 if sys.stderr.isatty() else 10.0
    bar: Iterable[Any] = tqdm(done, what, total, mininterval=every, disable=total == 0)
    return bar


def _quietly(done: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    return done


def _summary(course: "Course", out: Path) -> str:
    """Summarise what was graded, what was not, and where the results are."""
    from collections import Counter

    results = [result for learner in course.learners for result in learner.results.values()]
    counted = Counter(result.status for result in results).most_common()
    statuses = ", ".join(f"{number} {status}" for status, number in counted)
    files = sum(len(learner.files) for learner in course.learners)
    lines = [
        f"{_many(len(course.learners), 'learner')}, {_many(files, 'file')}, "
        f"{_many(len(results), 'row')}: {statuses}"
    ]
    absent = sum(not learner.files for learner in course.learners)
    if absent:
        lines.append(f"{_many(absent, 'learner')} handed in nothing")
    unlisted = [learner.name for learner in course.learners if not learner.listed]
    if unlisted:
        lines.append(f"not on the roster: {_some(unlisted)}")
    if course.given_up:
        lines.append(f"stopped after three time limits: {_some(course.given_up)}")
    if course.skipped:
        named = [f"{name} ({why})" for name, why in course.skipped]
        lines.append(f"{_many(len(named), 'file')} not graded: {_some(named)}")
    return "\n".join([*lines, f"results are in {out}"])


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Treat SIGTERM like Ctrl-C, so that nothing is left running."""
    raise KeyboardInterrupt


def _cores() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def merge(arguments: argparse.Namespace) -> int:
    """Join the parts of a course."""
    from cleanformer_lite.checks.grading.outputs import read_course, write_all
    from cleanformer_lite.checks.grading.sandbox import choose

    course = read_course(arguments.folders)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_all(arguments.out, course, choose())
    print(_summary(course, arguments.out))
    return 0


def isolation(arguments: argparse.Namespace) -> int:
    """Print the isolation on this machine."""
    from cleanformer_lite.checks.grading.sandbox import describe

    print(describe())
    return 0
