"""What is done is not done again, and nothing is half-written."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import cleanformer_lite
from cleanformer_lite.checks import EXERCISES, Exercise
from cleanformer_lite.checks.grading import journal as journals
from cleanformer_lite.checks.grading.journal import Journal, key_of
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.result import Result
from cleanformer_lite.checks.grading.runner import Runner
from tests.grading.handed_in import ENDLESS, MERGE, RIGHT, WRONG, notebook
from tests.grading.running import grade

PACKAGE = Path(cleanformer_lite.__file__).parent
ROW = Result(
    *(MERGE, "passed", 2, 2, "ann", "a.py", ("x", "y"), ("z",), "message", "card", True),
    *(("note",), ("flag",), "digest", 0.5, 7),
)


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.write("key", ROW)
    with Journal(tmp_path / "j") as journal:
        assert journal.done == {"key": ROW}


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


def test_two_graders_on_one_folder_get_a_sentence(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(ValueError, match="another `grade` writes to"):
        Journal(tmp_path / "j")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """`/dev/full` takes nothing, as a full disk does."""
    with Journal(tmp_path / "j") as journal:
        journal.file.close()
        journal.file = open("/dev/full", "ab")  # noqa: SIM115 (the journal closes it)
        with pytest.raises(OSError, match="No space left") as full:
            journal.write("key", ROW)
        assert full.value.filename == str(tmp_path / "j")
        assert journal.done == {}


def test_a_key_follows_everything_that_a_result_rests_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> list[str]:
        return [
            key_of("code", MERGE, Limits(), None),
            key_of("other", MERGE, Limits(), None),
            key_of("code", "split_heads.split", Limits(), None),
            key_of("code", MERGE, Limits(seconds=1), None),
            key_of("code", MERGE, Limits(), 1),
        ]

    before = keys()
    assert len(set(before)) == 5
    assert keys() == before
    exercise = EXERCISES[MERGE]
    told = {"hints": ("a", "b", "c"), "prompt": "Write it."}
    _replace(monkeypatch, exercise, **told)
    assert keys() == before
    _replace(monkeypatch, exercise, points=exercise.points + 1)
    after = keys()
    assert (after[0] != before[0], after[2] == before[2]) == (True, True)
    (case, *others) = exercise.probe.cases  # type: ignore[attr-defined]
    case = dataclasses.replace(case, make=lambda seed: None)
    probe = dataclasses.replace(exercise.probe, cases=(case, *others))  # type: ignore[type-var]
    _replace(monkeypatch, exercise, probe=probe)
    assert keys()[0] not in (before[0], after[0])


def test_a_key_follows_what_runs_and_judges_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {path.relative_to(PACKAGE).as_posix() for path in journals.shared_source()}
    assert {
        *("split_heads.py", "single_head.py", "copy_weights.py", "checks/engine/attention.py"),
        *("checks/engine/references.py", "checks/exercise.py", "checks/mistakes/shapes.py"),
        *("checks/grading/jobs.py", "checks/grading/wire.py", "checks/grading/slicing.py"),
    } <= names
    others = {"cli.py", "checks/course/split_heads.py", "checks/grading/pages.py", "files.py"}
    assert not others & names
    assert all((PACKAGE / name).exists() for name in others)
    before = key_of("code", MERGE, Limits(), None)
    monkeypatch.setattr(journals, "shared_source", lambda: [PACKAGE / "split_heads.py"])
    _forget()
    assert key_of("code", MERGE, Limits(), None) != before
    monkeypatch.undo()
    _forget()
    assert key_of("code", MERGE, Limits(), None) == before
    monkeypatch.setattr(torch, "__version__", "another")
    assert key_of("code", MERGE, Limits(), None) != before


def test_a_key_follows_a_function_that_an_exercise_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own file, by name: here through a lambda, one step down."""
    make = EXERCISES[MERGE].probe.cases[0].make  # type: ignore[attr-defined]
    names = make.__globals__
    monkeypatch.setitem(names, "below", _as_of_the_course(lambda: 3))
    monkeypatch.setitem(names, "between", _as_of_the_course(eval("lambda: below()", names)))
    calls = _as_of_the_course(eval("lambda seed: between()", names))
    before = list(journals._parts(calls, set()))
    monkeypatch.setitem(names, "below", _as_of_the_course(lambda: 5))
    assert list(journals._parts(calls, set())) != before


def _as_of_the_course(function: Any) -> Any:
    function.__module__ = "cleanformer_lite.checks.course.split_heads"
    return function


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_key_is_the_same_in_every_process(seed: str) -> None:
    code = "from cleanformer_lite.checks.grading.journal import _content_of as content\n"
    code += f"print(*map(content, {list(EXERCISES)}))"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [journals._content_of(name) for name in EXERCISES]


@pytest.fixture(autouse=True)
def fingerprints() -> Iterator[None]:
    yield
    _forget()


def _forget() -> None:
    journals._content_of.cache_clear()
    journals._machine.cache_clear()


def _replace(monkeypatch: pytest.MonkeyPatch, exercise: Exercise, **changes: Any) -> None:
    monkeypatch.setitem(EXERCISES, MERGE, dataclasses.replace(exercise, **changes))
    _forget()


def asked(ran: list[str]) -> Any:
    """Note what is shown as done: the numbers of the items that were run."""

    def progress(done: Iterable[Any], total: int, what: str) -> Iterable[Any]:
        if what == "files graded":
            ran.append(f"{total} to do")
        return done

    return progress


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for index in range(5):
        text = RIGHT if index % 2 else WRONG
        (folder / f"{index}.py").write_text(text.replace("width", f"width_{index}"))

    def stops_after_two(done: Iterable[Any], total: int, what: str) -> Iterator[Any]:
        for number, item in enumerate(done):
            if what == "files graded" and number == 2:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        grade(folder, out, progress=stops_after_two)
    (folder / "5.py").write_text((folder / "0.py").read_text())
    ran: list[str] = []
    results = grade(folder, out, progress=asked(ran)).results
    assert ran == ["3 to do"]
    statuses = [result.status for result in results]
    assert statuses == ["failed", "passed", "failed", "passed", "failed", "failed"]
    assert [result.submission for result in results] == [f"{index}.py" for index in range(6)]


def test_only_what_an_answer_rests_on_makes_it_run_again(tmp_path: Path, runner: Runner) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    file = folder / "a.ipynb"
    ran: list[str] = []

    def status() -> str:
        return grade(folder, out, runner, progress=asked(ran)).results[0].status

    file.write_text(notebook("x = 1", WRONG))
    assert status() == "failed"
    told = json.loads(notebook("x = 2", "print(x)", WRONG))
    told["cells"][0]["execution_count"] = 7
    file.write_text(json.dumps(told))
    assert status() == "failed"
    file.write_text(notebook("x = 1", RIGHT))
    assert status() == "passed"
    grade(folder, out, runner, progress=asked(ran), regrade=True)
    assert ran == ["1 to do", "0 to do", "1 to do", "1 to do"]


def test_a_file_whose_answers_never_end_is_given_up(
    tmp_path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All exercises of the course: three of them take their time, the others are not run."""
    folder = tmp_path / "in"
    folder.mkdir()
    text = "\n".join(
        ENDLESS.replace("merge_heads", exercise.entry_point) for exercise in EXERCISES.values()
    )
    text = text.replace("(x):", "(*args, **options):")
    for name in ("ann.py", "ben.py"):  # the same code is run once, and each file is named
        (folder / name).write_text(text)
    (folder / "cat.py").write_text(RIGHT)
    started: list[str] = []
    run = runner.run

    def noted(name: str, *rest: Any) -> Any:
        started.append(name)
        return run(name, *rest)

    monkeypatch.setattr(runner, "limits", dataclasses.replace(runner.limits, seconds=0.5))
    monkeypatch.setattr(runner, "run", noted)
    course = grade(folder, tmp_path / "out", runner, exercises=list(EXERCISES))
    assert len(started) == 3 + 1
    assert course.given_up == ["ann.py", "ben.py"]
    for name in course.given_up:
        late = [r for r in course.results if r.submission == name]
        assert [r.status for r in late] == ["timeout"] * len(EXERCISES)
        message = f"not run: 3 answers of {name} ran out of time"
        assert [r.message == message for r in late] == [False] * 3 + [True] * (len(late) - 3)
        assert all(message in r.card for r in late[3:])
    assert [r.exercise for r in course.results if r.passed] == [MERGE]
    again = grade(folder, tmp_path / "out", runner, exercises=list(EXERCISES))
    assert len(started) == 3 + 1
    assert again.given_up == course.given_up


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_nothing_half_written(tmp_path: Path, number: int) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.py").write_text(RIGHT)
    (folder / "b.py").write_text("def merge_heads(x):\n    while True: pass")
    command = [sys.executable, "-m", "cleanformer_lite", "grade", str(folder), "--out", str(out)]
    command += ["--only", MERGE, "--jobs", "1", "--seconds", "60", "--quiet"]
    with subprocess.Popen(command) as process:
        while not (out / "journal.jsonl").exists() or not (out / "journal.jsonl").stat().st_size:
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(number)
        process.wait(60)
    assert os.listdir(out) == ["journal.jsonl"]
    (folder / "b.py").write_text(WRONG)
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 passed" in again.stdout
    assert len((out / "journal.jsonl").read_text().splitlines()) == 2
    assert "grades.csv" in os.listdir(out)
