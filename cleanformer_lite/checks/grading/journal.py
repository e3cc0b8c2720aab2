"""Keep each result as a line of JSON, so that interrupted grading goes on where it stopped."""

import dataclasses
import fcntl
import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import IO, Any

import torch

from cleanformer_lite import __version__, checks
from cleanformer_lite.checks import EXERCISES, Exercise
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.result import Result

# Files and folders that no verdict depends on.
NO_VERDICT = {
    *("__pycache__", "cli", "__main__", "files", "course", "examination", "progress", "api"),
    *("outputs", "pages", "packing", "learners", "journal", "executors", "submissions"),
}


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
    """Name a result by everything that it depends on: code, exercise, package, torch, options.

    `seed` is None if each run draws its own, because a right answer passes with any.
    """
    running = [platform.python_version_tuple()[:2], torch.__version__]
    parts = [code, _content_of(exercise), __version__, running, limits.as_dict(), seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _content_of(exercise: str) -> str:
    """Return a fingerprint of an exercise's probe, and of the code that runs and judges it.

    Prompt and hints are left out, because they change no result.
    """
    told: Exercise = EXERCISES[exercise]
    parts = [told.id, told.entry_point, str(told.points), *told.properties]
    parts += [*_parts(told.probe, set()), _machine()]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


@cache
def _machine() -> str:
    """Return a fingerprint of the source that all exercises share."""
    digest = hashlib.sha256()
    for path in shared_source():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def shared_source() -> list[Path]:
    """Return the files that every verdict depends on: the heads, and what runs and judges answers.

    The course is not among them: its exercises are taken one by one.
    """
    package = Path(checks.__file__).parents[1]
    heads = [path for path in package.glob("*.py") if path.stem not in NO_VERDICT]
    inner = (path.relative_to(package) for path in (package / "checks").rglob("*.py"))
    return [
        *sorted(heads),
        *(package / p for p in sorted(inner) if not NO_VERDICT & {*p.parts, p.stem}),
    ]


def _parts(value: Any, seen: set[int]) -> Iterator[str]:
    """Take a declaration apart into text that changes when it does."""
    if id(value) in seen and not isinstance(value, str | int | float | bool | bytes | None):
        return
    seen.add(id(value))
    if isinstance(value, FunctionType):
        yield from _code_parts(value.__code__)
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # an empty cell
                yield from _parts(cell.cell_contents, seen)
        for name in _names_in(value.__code__):  # what it calls beside it
            used = value.__globals__.get(name)
            if _is_of_the_course(used):
                yield from _parts(used, seen)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield entry.name
            yield from _parts(getattr(value, entry.name), seen)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _parts(inner, seen)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _parts(inner, seen)
    elif isinstance(value, type):
        yield value.__qualname__
        for name, inner in sorted(vars(value).items()):
            if isinstance(inner, FunctionType):
                yield name
                yield from _parts(inner, seen)
    elif isinstance(value, str | int | float | bool | bytes | None):
        yield repr(value)
    else:
        yield type(value).__qualname__


def _is_of_the_course(value: object) -> bool:
    """Say whether this is code of an exercise's own file, or a number that it stands by."""
    if isinstance(value, FunctionType | type):
        return f"{value.__module__}.".startswith(f"{checks.__name__}.course.")
    return isinstance(value, str | int | float | tuple)


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _code_parts(code: CodeType) -> Iterator[str]:
    yield from (code.co_code.hex(), *code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_parts(constant)
        else:
            yield repr(constant)
