"""Which state of the sources a book was built from: version, date and commit."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Revision:
    """A state of the sources; `commit` is empty where no history tells it."""

    version: str
    date: str  # as 2026-11-23
    commit: str
    changed: bool  # by something that is not committed

    def __str__(self) -> str:
        """Say it in one line."""
        after = f", commit {self.commit[:10]}" if self.commit else ""
        return f"{self.version}, {self.date}{after}" + (" with changes" if self.changed else "")


def ask_git(root: Path, *words: str) -> str | None:
    """Return what git says of the repository at `root`, or None where there is none to ask."""
    command = ["git", "-C", str(root), *words]
    try:
        said = subprocess.run(command, capture_output=True, text=True, encoding="utf8")
    except FileNotFoundError:
        return None
    return said.stdout.strip() if said.returncode == 0 else None


def read_commit(root: Path, sources: Iterable[str]) -> tuple[str, str, bool] | None:
    """Return date and name of the last commit to touch `sources`, and whether they changed since.

    None where no history tells: a copy without one may lie inside of another repository.
    """
    top = ask_git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return None
    paths = [*sources, ":!*.ipynb"]  # generated from the pages
    last = ask_git(root, "log", "-1", "--format=%cs %H", "--", *paths)
    if not last:
        return None
    date, commit = last.split()
    return date, commit, bool(ask_git(root, "status", "--porcelain", "--", *paths))


def read_revision(root: Path, sources: Iterable[str]) -> Revision:
    """Tell which state `sources` are in: the same sources give the same answer.

    A copy without history has the date that `CITATION.cff` states.
    """
    cited = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf8"))
    released = (str(cited["date-released"]), "", False)
    date, commit, changed = read_commit(root, sources) or released
    return Revision(str(cited["version"]), date, commit, changed)
