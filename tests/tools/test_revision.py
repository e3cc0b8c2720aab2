"""A page names the commit it was built from; the same sources give the same line."""

import subprocess
from pathlib import Path

import pytest
from revision import read_revision

CITED = "version: 7.5.3\ndate-released: 2020-02-03\n"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *who, *words]
    environment = {"GIT_COMMITTER_DATE": "2021-05-07T12:00:00Z", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a source, a generated notebook and a file that no page is made from."""
    for name, text in {"CITATION.cff": CITED, "page.md": "1", "page.ipynb": "2"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def repository(folder: Path) -> Path:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def test_a_clone_tells_date_and_commit(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    said = read_revision(repository, ["page.md"])
    assert (said.version, said.date, said.commit, said.changed) == (
        "7.5.3",
        "2021-05-07",
        head,
        False,
    )
    assert str(said) == f"7.5.3, 2021-05-07, commit {head[:10]}"


def test_a_commit_to_other_files_changes_nothing(repository: Path) -> None:
    before = read_revision(repository, ["page.md", "page.ipynb"])
    (repository / "other").write_text("3")
    (repository / "page.ipynb").write_text("3")
    assert read_revision(repository, ["page.md", "page.ipynb"]) == before
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "two")
    assert read_revision(repository, ["page.md", "page.ipynb"]) == before


def test_a_change_that_is_not_committed_is_told(repository: Path) -> None:
    (repository / "page.md").write_text("4")
    assert str(read_revision(repository, ["page.md"])).endswith(" with changes")


def test_a_copy_without_history_tells_its_release(folder: Path) -> None:
    assert str(read_revision(folder, ["page.md"])) == "7.5.3, 2020-02-03"


def test_a_copy_inside_of_another_repository_is_not_that_one(repository: Path) -> None:
    inside = repository / "inside"
    inside.mkdir()
    (inside / "CITATION.cff").write_text(CITED)
    assert str(read_revision(inside, ["page.md"])) == "7.5.3, 2020-02-03"
