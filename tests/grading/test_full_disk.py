"""A full disk ends with a sentence: nothing is half-written, and the same command goes on."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cleanformer_lite.checks.grading.executors import LocalExecutor
from cleanformer_lite.checks.grading.grade import Course, bring_together
from cleanformer_lite.checks.grading.outputs import write_all
from cleanformer_lite.checks.grading.result import Result
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.sandbox import Sandbox
from cleanformer_lite.cli import main
from cleanformer_lite.commands import course as commands
from tests.grading.handed_in import MERGE, RIGHT, WRONG

SANDBOX = Sandbox(bubblewrap=True, landlock=7, seccomp=True, users=True)


@contextmanager
def room_for(most: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as if the disk were full then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def course(status: str) -> Course:
    """A course in which a learner has files of many sizes."""
    results = [
        Result(
            MERGE, status, 0, 2, learner=f"learner {n}", submission=f"{n}.py", card=n * "c" * 400
        )
        for n in range(7)
    ]
    return bring_together(results, None, [MERGE], [("a.zip", "an archive")])


def files_in(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in found}


def test_every_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    write_all(tmp_path / "new", course("failed"), SANDBOX)
    new = files_in(tmp_path / "new")
    sizes = sorted({len(text.encode()) for text in new.values()})
    assert len(sizes) > 10
    out = tmp_path / "out"
    write_all(out, course("crashed"), SANDBOX)
    old = files_in(out)
    for size in sizes[:-1]:
        with room_for(size), pytest.raises(OSError, match="File too large") as full:
            write_all(out, course("failed"), SANDBOX)
        now = files_in(out)
        assert now.keys() == old.keys()
        assert all(now[name] in (old[name], new[name]) for name in now)
        named = Path(full.value.filename).relative_to(out).as_posix()
        assert now[named] == old[named]
        assert len(new[named].encode()) > size
    write_all(out, course("failed"), SANDBOX)
    assert files_in(out) == new


def test_a_run_that_fills_the_disk_goes_on_when_there_is_room(
    tmp_path: Path,
    runner: Runner,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(9):
        text = RIGHT if number % 2 else WRONG
        (folder / f"{number}.py").write_text(text.replace("width", f"width_{number}"))
    executor = LocalExecutor(runner)
    monkeypatch.setattr(runner, "close", lambda: None)  # it is that of all tests
    monkeypatch.setattr(commands, "_executor", lambda arguments: executor)
    command = ["grade", str(folder), "--out", str(out), "--only", MERGE, "--quiet"]
    journal = out / "journal.jsonl"
    with room_for(5000):
        assert main(command) == 2
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith(f"cleanformer-lite grade: {journal}: file too large; make room")
    assert [path.name for path in out.iterdir()] == [journal.name]
    kept = _whole_lines(journal)
    assert 0 < kept < 9
    with room_for(journal.stat().st_size + 9 * 2000):  # the journal fits, a table does not
        assert main(command) in (0, 2)
    assert _whole_lines(journal) == 9
    capsys.readouterr()
    assert main(command) == 0
    assert "5 failed, 4 passed" in capsys.readouterr().out
    assert _whole_lines(journal) == 9  # what was graded is not graded twice


def _whole_lines(journal: Path) -> int:
    count = 0
    for line in journal.read_text().splitlines():
        try:
            count += "key" in json.loads(line)
        except ValueError:  # the line that no longer fitted
            continue
    return count
