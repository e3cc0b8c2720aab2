"""Read the result of an answer from the bytes that it sent and the end of its process."""

import signal
from dataclasses import asdict, dataclass
from typing import Any

from cleanformer_lite.checks import Exercise, NoAnswer, Observations, Report, judge
from cleanformer_lite.checks.grading.submissions import one_line, printable
from cleanformer_lite.checks.grading.wire import BadFrameError, decode, without_notes
from cleanformer_lite.checks.observations import texts


@dataclass(frozen=True)
class Result:
    """The result of one answer to one exercise: a row of every table that is written.

    `card` is the report as a learner reads it; `species` and `failed` are as in a `Report`; `tried`
    says whether every property was tried; `notes` name statements of the file that raised, and
    wrong answers that this one rests on; `flags` are for the teacher to look at;
    `digest` is a fingerprint of the code, if it is too long to be equal by chance.
    """

    exercise: str
    status: str
    points: float
    max_points: int
    learner: str = ""
    submission: str = ""
    species: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    message: str = ""
    card: str = ""
    tried: bool = False
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    digest: str = ""
    cpu_seconds: float = 0.0
    peak_kib: int = 0

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Result":
        """Return the result that `as_dict` wrote, from its JSON.

        Raises: TypeError if it is something else.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored.items()
        }
        return cls(**values)


@dataclass(frozen=True)
class Observed:
    """The outcome of running one answer.

    `status` is "observed" if there are observations to judge, or says why there are none: missing,
    timeout, crashed, memory, refused.
    """

    status: str
    observations: Observations
    message: str = ""
    notes: tuple[str, ...] = ()


def judge_attempt(
    exercise: Exercise, frame: bytes | None, ended: dict[str, Any], nonce: str, seed: int
) -> Result:
    """Judge the observations; without any there are no points, whatever the reason."""
    taken, frame = ([], None) if frame is None else without_notes(frame)
    seen = understand(frame, ended, nonce)
    report = _reported(exercise, seen, seed)
    tried = seen.status == "observed" and report.status in ("passed", "failed")
    return _result(
        report,
        tried=tried,
        notes=seen.notes,
        flags=tuple(dict.fromkeys(one_line(note) for note in taken)),
        cpu_seconds=round(ended["cpu_seconds"], 4),
        peak_kib=ended["peak_kib"],
    )


def without_points(exercise: Exercise, status: str, message: str = "") -> Result:
    """Return the result of an answer without observations, which gets no points."""
    failed = () if status == "missing" else ("runs",)
    return _result(_unjudged(exercise, status, message, failed))


def understand(frame: bytes | None, ended: dict[str, Any], nonce: str) -> Observed:
    """Read the bytes that came back (None: too many), and the way the process ended."""
    trouble = how_it_ended(frame, ended)
    if trouble is not None:
        return Observed(trouble[0], NoAnswer(), trouble[1])
    assert frame is not None
    try:
        message, observations = decode(frame)
    except BadFrameError as bad:
        return Observed("refused", NoAnswer(), f"a forged result: {bad}")
    if message.get("nonce") != nonce:
        return Observed("refused", NoAnswer(), "a forged result: it is not from this run")
    text, notes = str(message.get("error", ""))[:500], message.get("notes")
    notes = tuple(printable(note)[:500] for note in notes[:8]) if isinstance(notes, list) else ()
    outcome = message.get("outcome")
    status = outcome if outcome in ("observed", "missing", "refused") else "crashed"
    if status == "crashed" and _ran_out_of_memory(text):
        status = "memory"
    return Observed(str(status), observations, text, notes)


def how_it_ended(frame: bytes | None, ended: dict[str, Any]) -> tuple[str, str] | None:
    """Return a status and a reason if a process did not end well, None if it did."""
    code = ended["exit"]
    if not ended["in_time"] or code == -signal.SIGXCPU:
        return "timeout", f"stopped after {ended['seconds']:.1f} s"
    if frame is None:
        return "refused", "the answer sent back more than is allowed"
    if code == -signal.SIGKILL:
        return "memory", "killed by the system, as when memory runs out"
    if code < 0:
        return "crashed", f"killed by {_signal_name(-code)}"
    if not frame:
        return "crashed", f"ended with exit code {code}, no result"
    return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return f"signal {number}"


def _reported(exercise: Exercise, seen: Observed, seed: int) -> Report:
    if seen.status != "observed":
        failed = ("runs",) if seen.status != "missing" else ()
        return _unjudged(exercise, seen.status, seen.message, failed)
    try:
        report = judge(exercise, seen.observations, seed)
    except Exception as error:  # observations are whatever an answer makes of them
        reason = f"observations that cannot be judged: {error!r:.200}"
        return _unjudged(exercise, "refused", reason, ())
    if not report.passed and _memory_ran_out(seen.observations):
        reason = "asked for more memory than is allowed"
        return _unjudged(exercise, "memory", reason, report.failed)
    return report


def _unjudged(exercise: Exercise, status: str, message: str, failed: tuple[str, ...]) -> Report:
    """Return the report of an answer without observations."""
    return Report(
        exercise=exercise.id,
        status=status,
        points=0,
        max_points=exercise.points,
        failed=failed,
        message=message,
    )


def _result(report: Report, **more: Any) -> Result:
    return Result(
        exercise=report.exercise,
        status=report.status,
        points=report.points,
        max_points=report.max_points,
        species=tuple(report.species),
        failed=tuple(report.failed),
        message=printable(report.message),
        card=printable(report.text(shell=True)),
        **more,
    )


def _memory_ran_out(observations: Observations) -> bool:
    """Say whether the answer's own errors speak of memory."""
    return any(_ran_out_of_memory(text) for text in texts(observations))


def _ran_out_of_memory(error: str) -> bool:
    """Say whether an error's text is that of Python or torch out of memory."""
    return error.startswith("MemoryError") or "can't allocate memory" in error
