"""`pytest tests/exercises --submission FILE` believes no submission."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import cleanformer_lite
from cleanformer_lite.checks import EXERCISES
from tests.grading.handed_in import EXITS, MERGE, RIGHT, WRONG, notebook

ROOT = Path(cleanformer_lite.__file__).parents[1]
EXPECTED = len(EXERCISES[MERGE].properties) + 1


def outcome(submission: Path) -> tuple[int, dict[str, int]]:
    """Run the exercise tests on a file; returns the exit code and the number of each outcome."""
    command = [sys.executable, "-m", "pytest", "tests/exercises", "--submission", str(submission)]
    command += ["-k", MERGE, "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    line = done.stdout.strip().splitlines()[-1]
    return done.returncode, {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", line)}


def test_right_answer_passes_every_point(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(notebook(RIGHT))
    code, counts = outcome(tmp_path / "a.ipynb")
    assert (code, counts["passed"], counts.get("failed", 0)) == (0, EXPECTED, 0)


def test_wrong_answer_fails_at_its_points_only(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(WRONG)
    code, counts = outcome(tmp_path / "a.py")
    assert code == 1
    assert counts["passed"] > 0
    assert counts["passed"] + counts["failed"] == EXPECTED


@pytest.mark.parametrize("text", [EXITS, "import os\nos._exit(0)\n"])
def test_no_result_is_no_pass(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_text(text)
    code, counts = outcome(tmp_path / "a.py")
    assert (code, counts.get("passed", 0), counts["failed"]) == (1, 0, EXPECTED)


@pytest.mark.parametrize("name", ["gone.py", "notes.txt"])
def test_a_wrong_path_is_one_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("")
    command = [sys.executable, "-m", "pytest", "tests/exercises", "-p", "no:cacheprovider"]
    command += ["--submission", str(tmp_path / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert line.startswith("ERROR: ")
    assert name in line
