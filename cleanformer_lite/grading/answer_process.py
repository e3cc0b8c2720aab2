"""What happens inside the process of one answer: read, confine, run, send the facts back."""

import json
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from cleanformer_lite.checks import EXERCISES, observe
from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.grading.confine import confine
from cleanformer_lite.grading.framing import BadFrame, encode
from cleanformer_lite.grading.limits import Limits, apply
from cleanformer_lite.grading.parents import end_with
from cleanformer_lite.grading.statements import needed, parse

MOST_NOTES = 5
LONGEST_NOTE = 300


def run(
    keeper: int, job: int, result: int, workplace: Path, user: int | None, limits: Limits
) -> None:
    """Do the job that can be read from one file descriptor, and write what was seen to the other.

    Never returns: the process ends here.
    """
    close_all_but(job, result)
    with os.fdopen(job, "rb") as stream:
        task = json.load(stream)
    os.chdir(workplace)
    os.environ.update(TMPDIR=str(workplace), HOME=str(workplace))
    tempfile.tempdir = None
    apply(limits)
    confine(workplace, user)
    end_with(keeper)
    message, facts = answered(task)
    message["nonce"] = task["nonce"]
    try:
        frame = encode(message, facts, limits.result)
    except BadFrame as error:
        refused = {"nonce": task["nonce"], "outcome": "refused", "said": str(error)}
        frame = encode(refused, {}, limits.result)
    send(result, frame)
    os._exit(0)


def close_all_but(*kept: int) -> None:
    """Silence the standard streams, and close every inherited file descriptor but `kept`."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    begin = 3
    for descriptor in sorted(kept):
        os.closerange(begin, descriptor)
        begin = descriptor + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))


def answered(task: dict[str, Any]) -> tuple[dict[str, Any], Observations]:
    """Run what an answer needs, then the exercise's probes on it; returns a message and facts.

    The outcome is "observed", "missing" (nothing defines the entry point) or "raised".
    """
    exercise = EXERCISES[task["exercise"]]
    watch = observe  # an answer may replace the one in cleanformer_lite.checks
    module, notes, errors = executed(task["cells"], exercise.entry_point)
    message: dict[str, Any] = {"outcome": "missing", "said": "", "notes": notes[:MOST_NOTES]}
    if exercise.entry_point not in vars(module):
        if errors:
            message |= {"outcome": "raised", "said": errors[0]}
        return message, {}
    try:
        facts = watch(exercise, vars(module)[exercise.entry_point], task["seed"])
    except BaseException as error:
        return message | {"outcome": "raised", "said": said(error)}, {}
    return message | {"outcome": "observed"}, facts


def executed(
    cells: list[tuple[str, str]], entry_point: str
) -> tuple[ModuleType, list[str], list[str]]:
    """Run the statements that an answer needs.

    Returns the module in which they ran, notes on all that went wrong, and of these notes those
    that concern the answer itself.
    """
    module = ModuleType("answers")
    sys.modules["answers"] = module  # dataclasses look their module up
    statements, broken = parse(cells)
    notes = [f"{piece.place}: {piece.error}"[:LONGEST_NOTE] for piece in broken]
    errors = [note for note, piece in zip(notes, broken, strict=True) if entry_point in piece.text]
    for statement in needed(statements, entry_point):
        try:
            exec(statement.code, vars(module))
        except BaseException as error:
            note = f"{statement.place}: {said(error)}"[:LONGEST_NOTE]
            notes.append(note)
            errors.append(note)
    return module, notes, errors


def said(error: BaseException) -> str:
    """Return an error as Python's last line of a traceback would show it."""
    try:
        text = str(error)
    except BaseException:  # an answer's own exception may fail to print
        text = "(its text cannot be shown)"
    return f"{type(error).__name__}: {text}"[:LONGEST_NOTE]


def send(result: int, frame: bytes) -> None:
    """Write all bytes to a pipe, which takes some at a time."""
    view = memoryview(frame)
    while view:
        view = view[os.write(result, view) :]
