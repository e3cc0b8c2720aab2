"""Run inside the process of one job: confine it, do the job, send back the result.

There are three kinds. `read` takes a file apart; it runs none of it, but a parser can be made to
crash. `answer` runs what an exercise needs and observes it. `judge` compares observations with what
they should be; it runs nothing, but observations can be made to take long.
"""

import json
import linecache
import os
import sys
import tempfile
from contextlib import suppress
from functools import partial
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from cleanformer_lite.checks import EXERCISES, NoAnswer, Observations, observe
from cleanformer_lite.checks.grading import taken
from cleanformer_lite.checks.grading.confine import confine
from cleanformer_lite.checks.grading.limits import Limits, apply_limits
from cleanformer_lite.checks.grading.result import judge_attempt
from cleanformer_lite.checks.grading.slicing import hides_something, needed
from cleanformer_lite.checks.grading.statements import (
    FUTURE,
    Piece,
    Statement,
    Unparsed,
    compile_piece,
    file_of,
    parse,
)
from cleanformer_lite.checks.grading.wire import BadFrameError, encode, encode_note

MOST_NOTES = 5
LONGEST_NOTE = 300
_write = os.write  # an answer may replace it


def run(
    supervisor: int, job: int, result: int, workplace: Path, user: int | None, limits: Limits
) -> None:
    """Read a job from one file descriptor, do it, and write its result to the other.

    A job is a line of JSON followed by bytes. Never returns, because the process ends here.
    """
    _close_all_but(job, result)
    with os.fdopen(job, "rb") as stream:
        task = json.loads(stream.readline())
        body = stream.read()
    os.chdir(workplace)
    os.environ.update(TMPDIR=str(workplace), HOME=str(workplace))
    tempfile.tempdir = None
    apply_limits(limits)
    confine(workplace, user, supervisor, limits.processes)
    if task["kind"] == "answer":
        taken.begin(partial(_send_note, result))
    do = {"read": _read, "answer": _answer, "judge": _judge}[task["kind"]]
    _send(result, do(task, body, limits))
    os._exit(0)


def _close_all_but(*kept: int) -> None:
    """Silence the standard streams, and close every inherited file descriptor except `kept`."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    begin = 3
    for descriptor in sorted(kept):
        os.closerange(begin, descriptor)
        begin = descriptor + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))


def _send_note(result: int, text: str) -> None:
    """Tell what an answer took, before it goes on: nothing that it does later can unsay it."""
    _send(result, encode_note(text))


def _send(result: int, frame: bytes) -> None:
    """Write all bytes to a pipe, which takes a part at a time."""
    view = memoryview(frame)
    while view:
        view = view[_write(result, view) :]


# ------------------------------------------------------------------------------------------- read


def _read(task: dict[str, Any], body: bytes, limits: Limits) -> bytes:
    """Find the statements of a file that each exercise needs."""
    try:
        text = body.decode("utf-8-sig")
        cells = notebook_cells(text) if task["notebook"] else [("", text)]
    except UnicodeDecodeError as error:
        return _as_json({"trouble": f"not UTF-8: {error}"})
    except (ValueError, RecursionError) as error:
        return _as_json({"trouble": f"not a notebook: {error}"})
    del body, text
    statements, broken = parse(cells)
    names = {exercise.entry_point: name for name, exercise in EXERCISES.items()}
    wanted = {name: EXERCISES[name].entry_point for name in task["exercises"]}
    mentioned = {
        name: entry_point
        for name, entry_point in wanted.items()
        if any(entry_point in text for _, text in cells)
    }
    whole = [statement.piece for statement in statements]
    found = {
        name: _outline(statements, broken, entry_point, names)
        for name, entry_point in mentioned.items()
    }
    notes = [f"{piece.place}: {piece.error}"[:LONGEST_NOTE] for piece in broken]
    return _as_json({"whole": [_triple(p) for p in whole], "answers": found, "notes": notes})


def notebook_cells(text: str) -> list[tuple[str, str]]:
    """Return the code cells of a notebook, numbered as a reader counts all cells.

    Raises: ValueError if the text is not the JSON of a notebook.
    """
    notebook = json.loads(text)
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("wanted JSON with a list of cells")
    cells = []
    for number, cell in enumerate(notebook["cells"], start=1):
        if not isinstance(cell, dict):
            raise ValueError(f"wanted cell {number} to be an object, got {type(cell).__name__}")
        if cell.get("cell_type") == "code":
            cells.append((f"cell {number}", _source_of(cell, number)))
    return cells


def _source_of(cell: dict[str, object], number: int) -> str:
    """Return a cell's text, which a notebook holds as one string or as a list of lines."""
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    if not isinstance(source, str):
        raise ValueError(f"wanted text in cell {number}, got {type(source).__name__}")
    return source


def _outline(
    statements: list[Statement], broken: list[Unparsed], entry_point: str, names: dict[str, str]
) -> dict[str, Any]:
    """Return the code that one exercise needs, and what a teacher may want to look at."""
    kept = needed(statements, entry_point)
    numbers = {id(statement): number for number, statement in enumerate(statements)}
    defined = frozenset[str]().union(*(s.writes for s in kept if s.defines)) - {entry_point}
    return {
        "code": [numbers[id(statement)] for statement in kept],  # of `whole`: text is sent once
        "broken": [f"{p.place}: {p.error}"[:LONGEST_NOTE] for p in broken if entry_point in p.text],
        "hides": hides_something(statements, kept, entry_point),
        "rests_on": sorted(names[name] for name in defined if name in names),
    }


def _triple(piece: Piece) -> tuple[str, int, str]:
    return piece.cell, piece.line, piece.text


def _as_json(value: object) -> bytes:
    return json.dumps(value).encode()


# ----------------------------------------------------------------------------------------- answer


def _answer(task: dict[str, Any], body: bytes, limits: Limits) -> bytes:
    """Run the code that an exercise needs, then its probe; return the frame to send.

    The outcome is "observed", "missing" (nothing defines the entry point) or "raised".
    """
    del body
    encode_it, nonce = encode, task["nonce"]  # an answer may replace ours
    message, observations = _observed(task)
    message["nonce"] = nonce
    try:
        return encode_it(message, observations, limits.result)
    except BadFrameError as error:
        refused = {"nonce": nonce, "outcome": "refused", "error": str(error)}
        return encode_it(refused, NoAnswer(), limits.result)


def _observed(task: dict[str, Any]) -> tuple[dict[str, Any], Observations]:
    """Return a message and the observations."""
    exercise = EXERCISES[task["exercise"]]
    watch = observe  # an answer may replace the one in cleanformer_lite.checks
    pieces = [Piece(*triple) for triple in task["code"]]
    module, notes = _execute(pieces)
    for name in task["right"]:
        vars(module)[EXERCISES[name].entry_point] = _right_answer(name)
    message: dict[str, Any] = {"outcome": "missing", "error": "", "notes": notes[:MOST_NOTES]}
    if exercise.entry_point not in vars(module):
        errors = notes or task["broken"]
        return message | ({"outcome": "raised", "error": errors[0]} if errors else {}), NoAnswer()
    taken.look_at(vars(module)[exercise.entry_point])
    try:
        observations = watch(exercise, vars(module)[exercise.entry_point], task["seed"])
    except BaseException as error:
        return message | {"outcome": "raised", "error": _text_of(error)}, NoAnswer()
    return message | {"outcome": "observed"}, observations


def _right_answer(name: str) -> Any:
    """Return a right answer to an exercise that asks for a function, None for another exercise."""
    return getattr(EXERCISES[name].probe, "reference", None)


def _execute(pieces: list[Piece]) -> tuple[ModuleType, list[str]]:
    """Run statements as a notebook would; return their module, and notes on those that raised."""
    module = ModuleType("__main__")  # what guards itself by this name runs, as in a notebook
    sys.modules["__main__"] = module
    _show_source(pieces)
    notes = []
    flags = 0
    for piece in pieces:
        try:
            code = compile_piece(piece, flags)
            flags |= code.co_flags & FUTURE
            _run(code, vars(module))
        except BaseException as error:
            notes.append(f"{piece.place}: {_text_of(error)}"[:LONGEST_NOTE])
    return module, notes


def _run(code: CodeType, names: dict[str, Any]) -> None:
    """Run a statement; one that awaits goes on at once, and may not need anything to go on by."""
    result = eval(code, names)
    if code.co_flags & CO_COROUTINE:
        with suppress(StopIteration):
            while True:
                result.send(None)


def _show_source(pieces: list[Piece]) -> None:
    """Let `inspect` find the source, because code that compiles functions from it needs that."""
    for cell in {piece.cell for piece in pieces}:
        lines: list[str] = []
        for piece in (piece for piece in pieces if piece.cell == cell):
            lines += ["\n"] * (piece.line - 1 - len(lines))
            lines[piece.line - 1 :] = (piece.text + "\n").splitlines(keepends=True)
        name = file_of(cell)
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)


def _text_of(error: BaseException) -> str:
    """Return an error as Python's last line of a traceback would show it."""
    try:
        text = str(error)
    except BaseException:  # an answer's own exception may fail to print
        text = "(its text cannot be shown)"
    return f"{type(error).__name__}: {text}"[:LONGEST_NOTE]


# ------------------------------------------------------------------------------------------ judge


def _judge(task: dict[str, Any], body: bytes, limits: Limits) -> bytes:
    """Judge the observations of several answers, whose frames follow each other in the body."""
    results = []
    start = 0
    for attempt in task["attempts"]:
        size = attempt["size"]
        frame = None if size is None else body[start : start + size]
        start += size or 0
        result = judge_attempt(
            EXERCISES[attempt["exercise"]],
            frame,
            attempt["ended"],
            attempt["nonce"],
            attempt["seed"],
        )
        results.append(result.as_dict())
    return _as_json(results)
