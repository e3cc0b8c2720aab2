"""Time `cleanformer-lite grade` on a course of whole notebooks: every exercise answered, by each.

Each learner's notebook holds the solutions of the book, changed by a comment, so that no two are
one answer. Processor time is that of the whole tree of processes: the grader, what it starts, and
every answer. A busy machine is slow on the clock first, so the load stands beside the times.

    python tools/bench_grading.py --learners 200
"""

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cleanformer_lite.checks import EXERCISES  # noqa: E402

LOOK_EVERY = 0.1
CHAPTERS = list(dict.fromkeys(exercise.chapter for exercise in EXERCISES.values()))


@dataclass
class Used:
    """What a tree of processes has used so far: seconds of the processor, and the most memory."""

    seconds: float = 0.0
    peak_mib: float = 0.0


def main() -> None:
    """Make a course, grade it, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", type=int, default=20, help="notebooks to make (default: 20)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("rest", nargs="*", help="options for grade, after --")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        course, out = Path(folder, "course"), Path(folder, "out")
        course.mkdir()
        for number in range(given.learners):
            (course / f"learner-{number:04}.ipynb").write_text(notebook(number), encoding="utf-8")
        before = os.getloadavg()[0]
        began = time.perf_counter()
        start = "import sys; from cleanformer_lite.cli import main; sys.exit(main())"
        command = ["-c", start, "grade", str(course), "--out", str(out)]
        used, code = watched([sys.executable, *command, "--jobs", str(given.jobs), *given.rest])
        wall = time.perf_counter() - began
        passed, answers = count(out / "grades.json")
    after, processors = os.getloadavg()[0], os.cpu_count()
    print(f"{datetime.date.today()}, {given.jobs} jobs, exit code {code}")
    print(f"load {before:.1f} before, {after:.1f} after, on {processors} processors")
    print(f"{given.learners} notebooks, {answers} answers, {passed} of them right")
    print(f"wall {wall:.1f} s, {1000 * wall / answers:.0f} s for 1,000 answers")
    print(f"processor {used.seconds:.1f} s: {used.seconds / given.learners:.2f} s a notebook")
    print(f"memory at most {used.peak_mib:.0f} MiB, all processes together")


def notebook(number: int) -> str:
    """Return a notebook with all solutions, each cell changed by a comment in every function."""
    cells = []
    for chapter in CHAPTERS:
        text = (ROOT / "book" / "solutions" / f"{chapter}.py").read_text(encoding="utf-8")
        for cell in text.split("\n\n\n"):
            lines = []
            for line in cell.splitlines(keepends=True):
                lines.append(line)
                if line.rstrip().endswith(":") and line.lstrip().startswith(("def ", "class ")):
                    indent = len(line) - len(line.lstrip()) + 4
                    lines.append(f"{' ' * indent}# learner {number}\n")
            cells.append({"cell_type": "code", "metadata": {}, "outputs": [], "source": lines})
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def watched(command: list[str]) -> tuple[Used, int]:
    """Run a command, and look again and again at all processes below it."""
    used = Used()
    process = psutil.Popen(command, stdout=sys.stderr)
    while process.poll() is None:
        seconds = memory = 0.0
        for each in [process, *_below(process)]:
            try:
                seconds += sum(each.cpu_times()[:4])  # its own, and those of ended children
                memory += each.memory_full_info().pss / 2**20
            except (psutil.Error, OSError):
                continue
        used.seconds = max(used.seconds, seconds)
        used.peak_mib = max(used.peak_mib, memory)
        time.sleep(LOOK_EVERY)
    return used, int(process.returncode)


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def count(grades: Path) -> tuple[int, int]:
    """Return how many answers passed, and how many there are."""
    results = json.loads(grades.read_text(encoding="utf-8"))["grades"]
    return sum(result["status"] == "passed" for result in results), len(results)


if __name__ == "__main__":
    main()
