"""Nothing that lies in a folder ends the batch, or hides in a table what another handed in."""

import csv
import os
from pathlib import Path

import pytest

from cleanformer_lite.checks.grading.grade import Course
from cleanformer_lite.checks.grading.outputs import write_all
from cleanformer_lite.checks.grading.runner import Runner
from tests.grading.handed_in import MERGE, RIGHT, WRONG, notebook
from tests.grading.running import grade

HALF = notebook(RIGHT, "smile = 'X'").replace("X", "\\ud83d")
ESCAPES = """
def merge_heads(x):
    raise ValueError("\\x1b[2J\\x1b]0;owned\\x07\\r0 of 0\\n=cmd()\\ud83d")
"""
FILES = {
    "right.py": (RIGHT, "passed"),
    "half an emoji.ipynb": (HALF, "passed"),
    "a\rright.py": (WRONG, "failed"),
    "two\nlines.py": (WRONG, "failed"),
    "\x1b[31mred.py": (WRONG, "failed"),
    "=1+1.py": (WRONG, "failed"),
    "escapes.py": (ESCAPES, "crashed"),
    "null.py": (RIGHT + "\0", "crashed"),
    "deep.py": ("x = " + "(" * 5000 + "\n" + RIGHT, "crashed"),
    "31 MiB.ipynb": (notebook(RIGHT, f"x = '{'x' * 31 * 2**20}'"), "passed"),
    "33 MiB.py": (RIGHT + "#" * 33 * 2**20, "refused"),
    "wide.py": ("merge_heads = " + "-" * 200_000 + "1", "crashed unreadable"),
}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory, runner: Runner) -> tuple[Course, Path]:
    folder, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out")
    for name, (text, _) in FILES.items():
        (folder / name).write_text(text)
    (folder / "loop.py").symlink_to("loop.py")
    (folder / "round").symlink_to(".")
    os.mkfifo(folder / "pipe.ipynb")
    graded = grade(folder, out, runner)
    write_all(out, graded, runner.sandbox)
    return graded, out


def test_every_file_has_its_own_outcome(course: tuple[Course, Path]) -> None:
    outcomes = {result.submission: result.status for result in course[0].results}
    assert len(outcomes) == len(FILES) + 2
    assert outcomes.pop("loop.py") == outcomes.pop("pipe.ipynb") == "refused"
    for name, (_, expected) in FILES.items():
        shown = name.replace("\r", "\\r").replace("\n", "\\n").replace("\x1b", "\\x1b")
        assert outcomes[shown] in expected.split(), shown


def test_tables_have_a_row_for_each_and_nothing_that_acts(course: tuple[Course, Path]) -> None:
    _, out = course
    text = (out / "grades.csv").read_text(encoding="utf-8")
    assert not {"\r", "\x1b", "\x07"} & set(text)
    with open(out / "grades.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(FILES) + 2
    assert [row["status"] for row in rows if row["submission"] == "right.py"] == ["passed"]
    assert [row["exercise"] for row in rows] == [MERGE] * len(rows)
    for path in out.rglob("*"):
        if path.is_file() and path.name != "journal.jsonl":
            assert "\x1b" not in path.read_text(encoding="utf-8"), path.name
