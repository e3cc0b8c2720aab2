"""`check` and `hint`: both halves of a check in one process, for someone at a notebook."""

import difflib
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from cleanformer_lite.checks.course import EXERCISES
from cleanformer_lite.checks.exercise import Exercise, judge, observe
from cleanformer_lite.checks.mistakes import MISTAKES
from cleanformer_lite.checks.progress import FILE, Progress
from cleanformer_lite.checks.report import Report
from cleanformer_lite.checks.session import TimeLimitReached

SECONDS = 5.0
kept: list[Progress] = []
# The mistake that the last check of an exercise named, and how many hints of each kind were given.
_named: dict[str, str] = {}
_given: dict[tuple[str, str], int] = {}


def check(exercise_id: str, answer: object = None, *, seconds: float = SECONDS) -> Report:
    """Try an answer, and say what is wrong with it; the report draws itself in a notebook.

    An answer that raises, exits, or works for longer than `seconds` gives a report too; one that
    only waits may take four times as long.

    Raises: ValueError for an exercise that does not exist.
    """
    exercise = find(exercise_id)
    seed = secrets.randbelow(2**31)
    try:
        with time_limit(seconds):
            observed = observe(exercise, answer, seed)
        report = judge(exercise, observed, seed)
    except TimeLimitReached as late:
        report = Report(
            exercise.id, "timeout", 0, exercise.points, ("runs",), message=f"stopped: {late}"
        )
    return _remembered(_with_limits(report))


def hint(exercise_id: str, mistake: str | None = None) -> str:
    """Return the next hint: a nudge, then the place, then the fix, which repeats.

    The hint is about `mistake`; without one, about the mistake that the last check of this
    exercise named; if no mistake was named, about the exercise itself.

    Raises: ValueError for an exercise or a mistake that does not exist.
    """
    exercise = find(exercise_id)
    about = last_named(exercise.id) if mistake is None else mistake
    hints = hints_of(exercise.id, about)
    step = min(_given.get((exercise.id, about), 0), len(hints) - 1)
    _given[exercise.id, about] = step + 1
    of_mistake = f" ({about})" if about else ""
    return f"Hint {step + 1} of {len(hints)}{of_mistake}: {hints[step]}"


def hints_of(exercise_id: str, mistake: str = "") -> tuple[str, str, str]:
    """Return the three hints of a mistake, or of the exercise itself if none is given.

    Raises: ValueError for an exercise or a mistake that does not exist.
    """
    exercise = find(exercise_id)
    if not mistake:
        return exercise.hints
    if mistake not in MISTAKES:
        raise ValueError(f"wanted a known mistake, such as {next(iter(MISTAKES))}, got {mistake!r}")
    return MISTAKES[mistake].hints


def last_named(exercise_id: str) -> str:
    """Return the mistake that the last check of an exercise named, in this process or as kept.

    Returns an empty text if the last check named no mistake, or no check was made.
    """
    for progress in kept:
        if exercise_id not in _named:
            return progress.mistake(exercise_id)
    return _named.get(exercise_id, "")


def keep_progress(path: str | Path = FILE) -> Progress:
    """From now on, write every result of `check` to a file, and return what is in it already.

    Raises: ValueError, naming the file, if it is damaged; the file is left as it is.
    """
    progress = Progress.load(path)
    kept[:] = [progress]
    return progress


def find(exercise_id: str) -> Exercise:
    """Look an exercise up; the last part of its name is enough where only one has it.

    Raises: ValueError, naming those that look like it, if there is none.
    """
    name = str(exercise_id)
    if name in EXERCISES:
        return EXERCISES[name]
    same_end = [known for known in EXERCISES if known.split(".")[1] == name]
    if len(same_end) == 1:
        return EXERCISES[same_end[0]]
    near = same_end or difflib.get_close_matches(name, EXERCISES, n=3, cutoff=0.6)
    if near:
        raise ValueError(f"wanted an exercise, did you mean {' or '.join(near)}? got {name!r}")
    raise ValueError(f"wanted one of {', '.join(EXERCISES)}, got {name!r}")


NO_LIMIT = (
    "This system has no timer signals, so checks have no time limit: interrupt the kernel to stop "
    "an answer that never ends, and restart it if the answer never leaves C code."
)
_told: list[str] = []


def _with_limits(report: Report) -> Report:
    """Add to the first report of a session what a check cannot stop on this system."""
    if hasattr(signal, "setitimer") or _told:
        return report
    _told.append(NO_LIMIT)
    return replace(report, note=NO_LIMIT)


def _remembered(report: Report) -> Report:
    """Record a report where progress is kept; if that fails, say so on the card."""
    if report.status != "missing":
        _named[report.exercise] = report.mistake
    try:
        for progress in kept:
            progress.record(report)
    except (ValueError, OSError) as error:
        unsaved = f"progress was not saved: {error}"
        return replace(report, note=f"{report.note} {unsaved}" if report.note else unsaved)
    return report


AGAIN = 0.2
# A busy machine gives an answer only a part of its time, and a sleeping answer takes none, so the
# clock may run this many times the limit.
PATIENCE = 4


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeLimitReached` in the body once it has worked for `seconds`, or waited for longer.

    Processor time counts, so that a busy machine stops no right answer; the clock may run four
    times as long. The error is raised again every 0.2 s, because a bare `except` in a loop swallows
    the first one. Only the main thread of a system with timer signals can be stopped.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    began, worked = time.monotonic(), time.process_time()

    def stop(number: int, frame: FrameType | None) -> None:
        if time.process_time() - worked >= seconds:
            raise TimeLimitReached(f"no answer after {seconds:g} s of work")
        if time.monotonic() - began >= PATIENCE * seconds:
            raise TimeLimitReached(f"no answer after {PATIENCE * seconds:g} s, most of it waiting")

    before = signal.signal(signal.SIGALRM, stop)
    delay, interval = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        disarm(before, delay - (time.monotonic() - began) if delay else 0.0, interval)


def disarm(before: "signal._HANDLER", left: float, interval: float) -> None:
    """Put back the handler and the timer that were there before."""
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)
    if left or interval:
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), interval)
