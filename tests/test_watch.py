"""Checking again on every save, without waiting for real ones."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cleanformer_lite.cli import main
from cleanformer_lite.commands import watch
from tests.grading.handed_in import MERGE, RIGHT

SPLIT = "def split_heads(x, num_heads):\n    raise ValueError('not yet')\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_watch_checks_on_every_save_and_ends_cleanly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("answers.py")
    path.write_text(SPLIT)

    def saves(_: Path) -> Iterator[None]:
        yield
        path.write_text("")
        yield
        path.unlink()
        yield
        path.write_text(RIGHT)
        yield
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "saves", saves)
    assert main(["watch", "answers.py", "--only", MERGE, "--only", "split_heads.split"]) == 0
    _, first, empty, gone, merged = capsys.readouterr().out.split("answers.py")
    assert "split_heads.split: " in first
    assert "next: split_heads.split, not begun" in empty
    assert "does not exist" in gone
    assert f"{MERGE}: passed" in merged
    assert "stopped watching" in merged


def test_a_save_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "answers.py"
    path.write_text("1")
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            path.unlink()
        if len(naps) == 5:
            path.write_text("22")
        if len(naps) == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", nap)
    seen = []
    with suppress(KeyboardInterrupt):
        for _ in watch.saves(path):
            seen.append(len(naps))
    assert seen == [0, 5]
