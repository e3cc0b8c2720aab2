"""What has been graded already, one line of JSON each, so that no interruption costs work twice."""

import fcntl
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from cleanformer_lite import __version__
from cleanformer_lite.checks.report import STATUSES
from cleanformer_lite.grading.limits import Limits
from cleanformer_lite.grading.verdict import Graded


class Journal:
    """An append-only file of results; a line is either whole or not there.

    Only one grader at a time may hold it.

    Raises: BlockingIOError if another one does, OSError if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.done: dict[str, dict[str, Any]] = {}
        self.file: IO[bytes] = path.open("ab+")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.file.close()
            raise
        self.file.seek(0)
        text = self.file.read()
        for line in text.splitlines():
            self.read(line)
        if text and not text.endswith(b"\n"):
            self.file.write(b"\n")  # a grader died in the middle of a line: leave that line alone

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, line: bytes) -> None:
        """Take one line in; one that is cut short or not ours counts for nothing."""
        try:
            entry = json.loads(line)
            key, row = entry["key"], entry["row"]
            Graded(**row)
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if row["status"] in STATUSES:
            self.done[key] = row

    def find(self, key: str, submission: str) -> Graded | None:
        """Return an earlier result under a submission's present name, if there is one."""
        row = self.done.get(key)
        if row is None:
            return None
        lists = {name: tuple(row[name]) for name in ("species", "failed", "notes")}
        return Graded(**{**row, **lists, "submission": submission})

    def write(self, key: str, row: Graded) -> None:
        """Keep a result for good."""
        self.done[key] = asdict(row)
        self.file.write(json.dumps({"key": key, "row": self.done[key]}).encode() + b"\n")
        self.file.flush()


def key_of(digest: str, exercise: str, limits: Limits, seed: int | None) -> str:
    """Name a result by all that it rests on: the file's content, the exercise, this package, how.

    `seed` is None when each run draws its own: a right answer passes with any.
    """
    parts = [digest, exercise, __version__, limits.as_dict(), seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
