"""The command line, as a learner and a teacher type it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cleanformer_lite
from cleanformer_lite.checks import EXERCISES, MISTAKES
from cleanformer_lite.cli import main, parser
from tests.grading.handed_in import MERGE, RIGHT, TAKES_6_GIB_OF_BYTES, WRONG, notebook

SPLIT = "def split_heads(x, num_heads):\n    raise ValueError('not yet')\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "right.py").write_text(RIGHT)
    (tmp_path / "in" / "wrong.ipynb").write_text(notebook(WRONG))
    return tmp_path / "in"


def printed(*arguments: str) -> str:
    """Return what a Python process prints, started where this package lies."""
    root = Path(cleanformer_lite.__file__).parents[1]
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "name",
    [
        *("list", "check", "hint", "watch", "grade", "merge", "gradescope", "classroom"),
        *("isolation", "train", "evaluate", "translate"),
    ],
)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"\n    {name}" in parser().format_help()
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out) > 300


def test_the_package_runs_as_a_module() -> None:
    assert MERGE in printed("-m", "cleanformer_lite", "list", "split_heads")


def test_check_passes_when_everything_answered_passes(capsys: pytest.CaptureFixture[str]) -> None:
    Path("answers.py").write_text(RIGHT)
    assert main(["check", "answers.py"]) == 0
    told = capsys.readouterr().out
    assert f"{MERGE}: passed" in told
    assert f"Not answered yet: {len(EXERCISES) - 1} exercises (cleanformer-lite list)" in told
    assert "1 of 1 answers pass" in told


def test_check_fails_and_names_the_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    Path("answers.ipynb").write_text(notebook(RIGHT + SPLIT, "1 / 0"))
    assert main(["check", "answers.ipynb"]) == 1
    assert "1 of 2 answers pass" in capsys.readouterr().out
    assert main(["check", "answers.ipynb", "--only", MERGE]) == 0


def test_check_of_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    Path("answers.py").write_text("x = 1\n")
    assert main(["check", "answers.py"]) == 1
    assert "0 of 0 answers pass" in capsys.readouterr().out


def test_check_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    Path("answers.py").write_text(WRONG)
    assert main(["check", "answers.py", "--only", MERGE, "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["exercise"], row["status"]) == (MERGE, "failed")
    assert row["species"] == ["merge_without_transpose"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "gone.py"], "does not exist"),
        (["check", "notes.txt"], "notebook or .py"),
        (["check", "broken.ipynb"], "unreadable"),
        (["check", "good.py", "--only", "split_heads.marge"], "split_heads.marge"),
        (["check", "good.py", "--seconds", "0"], "above 0"),
        (["hint", "split_heads.marge"], "split_heads.merge"),
        (["hint", MERGE, "--step", "9"], "1 to 3"),
        (["list", "nowhere"], "nowhere"),
        (["watch", "gone.py"], "does not exist"),
        (["grade", "gone", "--out", "out"], "does not exist"),
        (["grade", "good.py", "--out", "out"], "is a file"),
        (["grade", "empty", "--out", "out"], "holds none"),
        (["grade", "in", "--out", "good.py"], "good.py"),
        (["grade", "in", "--out", "/proc/out"], "/proc/out"),
        (["grade", "in", "--out", "out", "--only", "nothing"], "nothing"),
        (["grade", "in", "--out", "out", "--jobs", "0"], "at least 1"),
        (["grade", "in", "--out", "out", "--shard", "0/3"], "0/3"),
        (["grade", "in", "--out", "out", "--learner", "name_*"], "{name}"),
        (["grade", "in", "--out", "out", "--roster", "gone.csv"], "gone.csv"),
        (["grade", "in", "--out", "out", "--roster", "twice.csv"], "ann"),
        (["grade", "in", "--out", "out", "--scheduler", "x"], "--executor dask"),
        (["merge", "in", "--out", "out"], "grades.json"),
        (["gradescope", "in/gone/out.zip"], "out.zip"),
    ],
)
def test_a_mistake_of_the_user_is_explained_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    Path("good.py").write_text(RIGHT)
    Path("notes.txt").write_text("")
    Path("broken.ipynb").write_text("{")
    Path("empty").mkdir()
    Path("twice.csv").write_text("name\nann\nann\n")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"cleanformer-lite {arguments[0]}: ")
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_list_shows_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    Path("answers.py").write_text(RIGHT)
    main(["check", "answers.py"])
    capsys.readouterr()
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for exercise in EXERCISES.values():
        (line,) = [line for line in lines if line.split()[:1] == [exercise.id]]
        assert f"{exercise.points} points" in line
        assert f"{exercise.minutes} min" in line
        assert line.endswith("passed") == (exercise.id == MERGE)
    assert lines[-1].startswith(f"{EXERCISES[MERGE].points} of ")


def test_list_knows_every_way_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    Path("answers.py").write_text(TAKES_6_GIB_OF_BYTES)
    assert main(["check", "answers.py"]) == 1
    assert f"{MERGE}: memory" in capsys.readouterr().out
    assert main(["list"]) == 0
    assert "memory" in capsys.readouterr().out


def test_hints_come_one_step_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    hints = EXERCISES[MERGE].hints
    assert main(["hint", MERGE]) == 0
    first = capsys.readouterr().out
    assert hints[0] in first
    assert hints[1] not in first
    assert f"hint {MERGE} --step 2" in first
    assert main(["hint", MERGE, "--step", "3"]) == 0
    last = capsys.readouterr().out
    assert hints[2] in last
    assert "--step 4" not in last


def test_hints_are_of_the_mistake_just_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("answers.py").write_text(WRONG)
    main(["check", "answers.py", "--only", MERGE])
    assert f"cleanformer-lite hint {MERGE}" in capsys.readouterr().out
    assert main(["hint", MERGE]) == 0
    told = capsys.readouterr().out
    assert MISTAKES["merge_without_transpose"].hints[0] in told
    assert EXERCISES[MERGE].hints[0] not in told


def test_a_progress_file_that_cannot_be_written_takes_no_card_away(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("answers.py").write_text(WRONG)
    Path("cleanformer_lite_progress.json").write_text("{")
    assert main(["check", "answers.py", "--only", MERGE]) == 1
    told = capsys.readouterr()
    assert "merge_without_transpose" in told.out
    assert "progress was not saved" in told.err


def test_grade_writes_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(folder), "--out", "out/grades", "--only", MERGE]) == 0
    with open("out/grades/grades.csv", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    points = str(EXERCISES[MERGE].points)
    assert [row[:7] for row in rows] == [
        ["submission", "exercise", "points", "max_points", "status", "species", "learner"],
        ["right.py", MERGE, points, points, "passed", "", "right.py"],
        ["wrong.ipynb", MERGE, "0", points, "failed", "merge_without_transpose", "wrong.ipynb"],
    ]
    assert "known mistake merge_without_transpose" in rows[2][7].lower()
    told = capsys.readouterr()
    assert "2 learners, 2 files, 2 rows" in told.out
    assert "2/2" in told.err
    assert sorted(os.listdir("out/grades")) == [
        *("canvas.csv", "grades.csv", "grades.json", "journal.jsonl", "junit.xml"),
        *("learners", "learners.csv", "misconceptions.csv", "misconceptions.html"),
        *("moodle.csv", "results.json", "skipped.csv"),
    ]


def test_grade_covers_every_exercise_by_default(folder: Path) -> None:
    assert main(["grade", str(folder), "--out", "out", "--quiet"]) == 0
    with open("out/grades.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["submission"], row["exercise"]) for row in rows] == [
        (name, exercise) for name in ("right.py", "wrong.ipynb") for exercise in EXERCISES
    ]


def test_a_course_in_parts_is_brought_together(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--only", MERGE, "--quiet", "--seed", "1"]
    for part in ("1", "2"):
        assert main(["grade", str(folder), "--out", part, "--shard", f"{part}/2", *options]) == 0
    assert main(["grade", str(folder), "--out", "whole", *options]) == 0
    assert main(["merge", "1", "2", "--out", "merged"]) == 0
    assert "2 learners" in capsys.readouterr().out.splitlines()[-2]
    for name in ("grades.csv", "learners.csv", "results.json", "misconceptions.html"):
        assert Path("merged", name).read_text() == Path("whole", name).read_text()


def test_isolation_says_what_stays_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["isolation"]) == 0
    told = capsys.readouterr().out
    assert "each answer in a process of its own" in told
    assert "take a right one from this package" in told.split("What stays open:")[1]
