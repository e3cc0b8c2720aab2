"""Keep each result as a line of JSON, so that interrupted grading goes on where it stopped."""

import dataclasses
import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import IO, Any

from cleanformer_lite import __version__, checks
from cleanformer_lite.checks import EXERCISES, Exercise
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.result import Result


class Journal:
    """An append-only file of results; each line is written whole or not at all.

    Only one grader at a time may hold it.

    Raises: ValueError if another one does, OSError if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, Result] = {}
        self.file: IO[bytes] = path.open("ab+")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.file.close()
            raise ValueError(
                f"another `grade` writes to {path.parent} now: wait until it ends, or choose "
                "another folder with --out"
            ) from error
        self.file.seek(0)
        text = self.file.read()
        for line in text.splitlines():
            self._read(line)
        if text and not text.endswith(b"\n"):
            self._append(b"\n")  # a grader died in the middle of a line: leave that line alone

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk has been told of already
            self.file.close()

    def _read(self, line: bytes) -> None:
        """Read one line; ignore one that is cut short or malformed."""
        try:
            entry = json.loads(line)
            key, result = entry["key"], Result.from_dict(entry["result"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return
        self.done[str(key)] = result

    def write(self, key: str, result: Result) -> None:
        """Keep a result for good.

        Raises: OSError, naming the file, if it cannot be written.
        """
        self._append(json.dumps({"key": key, "result": result.as_dict()}).encode() + b"\n")
        self.done[key] = result

    def _append(self, line: bytes) -> None:
        try:
            self.file.write(line)
            self.file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error


def key_of(code: str, exercise: str, limits: Limits, seed: int | None) -> str:
    """Name a result by everything that it depends on: code, exercise, package, options.

    `seed` is None if each run draws its own, because a right answer passes with any.
    """
    parts = [code, _content_of(exercise), __version__, limits.as_dict(), seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _content_of(exercise: str) -> str:
    """Return a fingerprint of an exercise's probe, and of the code that judges it.

    Prompt and hints are left out, because they change no result.
    """
    told: Exercise = EXERCISES[exercise]
    parts = [told.id, told.entry_point, str(told.points), *told.properties, *_parts(told.probe)]
    return hashlib.sha256("\0".join([*parts, _engine()]).encode("utf-8", "replace")).hexdigest()


@cache
def _engine() -> str:
    """Return a fingerprint of the source that all exercises share."""
    folder = Path(checks.__file__).parent
    passed_over = {"grading", "course", "chapters", "__pycache__"}
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        if not passed_over & set(path.relative_to(folder).parts):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _parts(value: Any, depth: int = 8) -> Iterator[str]:
    """Take a declaration apart into text that changes when it does."""
    if depth == 0:
        return
    if isinstance(value, FunctionType):
        yield from _code_parts(value.__code__)
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # an empty cell
                yield from _parts(cell.cell_contents, depth - 1)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield entry.name
            yield from _parts(getattr(value, entry.name), depth - 1)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _parts(inner, depth - 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _parts(inner, depth - 1)
    elif isinstance(value, type):
        yield value.__qualname__
        for name, inner in sorted(vars(value).items()):
            if isinstance(inner, FunctionType):
                yield name
                yield from _code_parts(inner.__code__)
    elif isinstance(value, str | int | float | bool | bytes | None):
        yield repr(value)
    else:
        yield type(value).__qualname__


def _code_parts(code: CodeType) -> Iterator[str]:
    yield from (code.co_code.hex(), *code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_parts(constant)
        else:
            yield repr(constant)
