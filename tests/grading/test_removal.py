"""A folder goes away whatever is in it, and nothing outside it does."""

import os
from pathlib import Path

from cleanformer_lite.checks.grading.worker import remove


def test_a_deep_folder_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    remove(folder, 60)
    assert not folder.exists()


def test_locked_folders_go_and_what_links_point_at_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    folder = tmp_path / "folder"
    (folder / "locked" / "inner").mkdir(parents=True)
    (folder / "locked" / "link").symlink_to(kept)
    (folder / "link").symlink_to(kept / "file")
    (folder / "nowhere").symlink_to("nowhere at all")
    (folder / "locked").chmod(0)
    remove(folder, 60)
    assert not folder.exists()
    assert (kept / "file").read_text() == "mine"


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path / "gone", 60)


def test_clearing_away_ends_when_its_time_is_up(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    remove(folder, -1)
    assert (folder / "inner").exists()
