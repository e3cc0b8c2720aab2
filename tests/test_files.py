"""A file is written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from cleanformer_lite.files import write_file


def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path: Path) -> None:
    assert write_file(tmp_path / "text", "날짜\n").read_bytes() == "날짜\n".encode()
    assert write_file(str(tmp_path / "bytes"), b"\r\n\x00").read_bytes() == b"\r\n\x00"


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.json"
    path.write_text("old")

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_raises(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        write_file(tmp_path / "nowhere" / "file", "text")


def test_permissions_are_those_of_the_old_file_or_of_any_new_one(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("made by open")
    made = write_file(tmp_path / "made", "by us")
    assert stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    plain.chmod(0o600)
    write_file(plain, "again")
    assert stat.S_IMODE(plain.stat().st_mode) == 0o600
