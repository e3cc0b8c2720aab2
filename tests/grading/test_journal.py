"""What is done is not done again, and nothing is half-written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cleanformer_lite.grading.batch import grade_folder
from cleanformer_lite.grading.journal import Journal, key_of
from cleanformer_lite.grading.limits import Limits
from cleanformer_lite.grading.verdict import Graded
from tests.grading.handed_in import MERGE, RIGHT, WRONG

ROW = Graded("a.py", MERGE, 2, 2, "passed", ("x", "y"), ("z",), "said", ("note",), 0.5, 7)


def test_a_result_comes_back_under_the_present_name(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.write("key", ROW)
    with Journal(tmp_path / "j") as journal:
        found = journal.find("key", "b.py")
        assert found is not None
        assert found.as_dict() == {**ROW.as_dict(), "submission": "b.py"}
        assert journal.find("other", "b.py") is None


@pytest.mark.parametrize("torn", [b'{"key": "k2", "row"', b"\xff\n", b"[]\n", b'{"key": 1}\n'])
def test_a_torn_line_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.write("k1", ROW)
    with (tmp_path / "j").open("ab") as file:
        file.write(torn)
    with Journal(tmp_path / "j") as journal:
        assert list(journal.done) == ["k1"]
        journal.write("k3", ROW)
    with Journal(tmp_path / "j") as journal:
        assert list(journal.done) == ["k1", "k3"]


def test_one_grader_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(BlockingIOError):
        Journal(tmp_path / "j")


def test_a_key_follows_everything_that_a_result_rests_on() -> None:
    keys = {
        key_of("d", MERGE, Limits(), None),
        key_of("e", MERGE, Limits(), None),
        key_of("d", "other", Limits(), None),
        key_of("d", MERGE, Limits(seconds=1), None),
        key_of("d", MERGE, Limits(), 1),
    }
    assert len(keys) == 5


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for index in range(5):
        (folder / f"{index}.py").write_text(f"{RIGHT if index % 2 else WRONG}# {index}")
    ran: list[str] = []

    def graded(row: Graded) -> None:
        ran.append(row.submission)
        if len(ran) == 2:
            raise KeyboardInterrupt

    todo: list[tuple[int, int]] = []

    def starting(left: int, done: int) -> None:
        todo.append((left, done))

    with pytest.raises(KeyboardInterrupt):
        grade_folder(folder, out, exercises=[MERGE], starting=starting, graded=graded)
    (folder / "5.py").write_text((folder / "0.py").read_text())
    rows = grade_folder(folder, out, exercises=[MERGE], starting=starting, graded=graded)
    assert todo == [(5, 0), (3, 3)]
    assert sorted(ran) == [f"{index}.py" for index in range(5)]
    statuses = [row.status for row in rows]
    assert statuses == ["failed", "passed", "failed", "passed", "failed", "failed"]
    assert [row.submission for row in rows] == [f"{index}.py" for index in range(6)]


def test_a_changed_file_is_graded_anew(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.py").write_text(WRONG)
    assert grade_folder(folder, out, exercises=[MERGE])[0].status == "failed"
    (folder / "a.py").write_text(RIGHT)
    assert grade_folder(folder, out, exercises=[MERGE])[0].status == "passed"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_nothing_half_written(tmp_path: Path, number: int) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.py").write_text(RIGHT)
    (folder / "b.py").write_text("def merge_heads(x):\n    while True: pass")
    command = [sys.executable, "-m", "cleanformer_lite", "grade", str(folder), "--out", str(out)]
    command += ["--only", MERGE, "--jobs", "1", "--seconds", "60"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "1 of 2 answers" in process.stderr.readline()
        process.send_signal(number)
        process.wait(30)
    assert os.listdir(out) == ["journal.jsonl"]
    (folder / "b.py").write_text(WRONG)
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stderr.startswith("1 of 2 answers need not be run")
    assert "1 passed" in again.stdout
    assert "grades.csv" in os.listdir(out)
