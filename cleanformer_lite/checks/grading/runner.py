"""Run jobs where they can do no harm, and bring back what came of them."""

import json
import os
import queue
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.limits import MIB, Limits
from cleanformer_lite.checks.grading.result import Result, how_it_ended, without_points
from cleanformer_lite.checks.grading.sandbox import Sandbox, choose, wrap
from cleanformer_lite.checks.grading.submissions import Submission
from cleanformer_lite.checks.grading.worker import remove

GRACE = 10.0
START_SECONDS = 120.0
JUDGING_SECONDS = 10.0  # of one answer
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV")


class SlotLost(RuntimeError):  # noqa: N818 (it reads as what it is)
    """The process that watches answers is gone: killed by one of them, or by the system."""


@dataclass(frozen=True)
class Attempt:
    """What one run of an answer brought: bytes that nobody has read yet, and how it ended."""

    exercise: str
    seed: int
    nonce: str
    frame: bytes | None
    ended: dict[str, Any]

    @property
    def timed_out(self) -> bool:
        return (how_it_ended(self.frame, self.ended) or ("",))[0] == "timeout"


class Runner:
    """Runs files' code in processes of their own on this machine, `jobs` at once.

    Use it in a `with` statement; its methods may be called from several threads. What keeps an
    answer apart, and what does not, is told by `sandbox`.
    """

    def __init__(
        self, limits: Limits | None = None, jobs: int = 1, isolation: str = "auto"
    ) -> None:
        if jobs < 1:
            raise ValueError(f"wanted at least 1 job, got {jobs}")
        self.limits = limits or Limits()
        self.jobs = jobs
        self.sandbox = choose(isolation)
        self.closed = False
        self.folder = tempfile.mkdtemp(prefix="cleanformer-answers-")
        os.chmod(self.folder, 0o711)
        self.warm = WarmProcess(self.folder, self.sandbox)
        self.slots = [Slot(self.warm, number) for number in range(jobs)]
        self.free: queue.Queue[Slot] = queue.Queue()
        for slot in self.slots:
            self.free.put(slot)

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop every process that was started, and remove their folder."""
        self.closed = True
        for slot in self.slots:
            slot.hang_up()
        self.warm.close()
        remove(self.folder, 60.0)

    def read(self, submission: Submission, exercises: Sequence[str]) -> dict[str, Any]:
        """Take a file apart: the code that each exercise needs, or "trouble" and a reason.

        Nothing that is in a file raises here.

        Raises: SlotLost if the runner was closed meanwhile.
        """
        task = {"kind": "read", "notebook": submission.is_notebook, "exercises": list(exercises)}
        frame, ended = self._do(task, submission.content, self.limits)
        trouble = how_it_ended(frame, ended)
        if trouble is not None:
            return {"trouble": f"cannot be taken apart: {trouble[1]}"}
        outline: dict[str, Any] = json.loads(frame or b"{}")
        return outline

    def run(
        self, exercise: str, code: Sequence[Sequence[Any]], seed: int, broken: Sequence[str] = ()
    ) -> Attempt:
        """Run the code of one answer and observe it. Nothing that an answer does raises here.

        Raises: SlotLost if the runner was closed meanwhile.
        """
        nonce = secrets.token_hex(16)
        task = {"kind": "answer", "exercise": exercise, "seed": seed, "nonce": nonce}
        task |= {"code": list(code), "broken": list(broken)}
        frame, ended = self._do(task, b"", self.limits)
        return Attempt(exercise, seed, nonce, frame, ended)

    def judge(self, attempts: Sequence[Attempt]) -> list[Result]:
        """Judge several attempts: together if that goes well, or else one by one.

        Raises: SlotLost if the runner was closed meanwhile.
        """
        if not attempts:
            return []
        together = self._judged(attempts, JUDGING_SECONDS + len(attempts))
        if together is not None:
            return together
        results = []
        refused = 0
        for attempt in attempts:
            alone = self._judged([attempt], JUDGING_SECONDS) if refused < 3 else None
            if alone is None:
                refused += 1
                reason = "what it sent takes too long, or too much memory, to judge"
                alone = [without_points(EXERCISES[attempt.exercise], "refused", reason)]
            results += alone
        return results

    def _judged(self, attempts: Sequence[Attempt], seconds: float) -> list[Result] | None:
        """Judge in one process; None if it did not end well."""
        described = [
            {
                "exercise": attempt.exercise,
                "seed": attempt.seed,
                "nonce": attempt.nonce,
                "ended": attempt.ended,
                "size": None if attempt.frame is None else len(attempt.frame),
            }
            for attempt in attempts
        ]
        body = b"".join(attempt.frame or b"" for attempt in attempts)
        room = max(self.limits.memory, 256 + 8 * len(body) // MIB)
        limits = replace(self.limits, seconds=seconds, memory=room, processes=0)
        frame, ended = self._do({"kind": "judge", "attempts": described}, body, limits)
        if how_it_ended(frame, ended) is not None:
            return None
        return [Result.from_dict(stored) for stored in json.loads(frame or b"[]")]

    def _do(
        self, task: dict[str, Any], body: bytes, limits: Limits
    ) -> tuple[bytes | None, dict[str, Any]]:
        """Have a job done, a second time if the process that watches it is lost."""
        job = json.dumps(task).encode() + b"\n" + body
        with self._slot() as slot:
            for _ in range(2):
                try:
                    return self.attempt(slot, str(task["kind"]), job, limits)
                except SlotLost:
                    if self.closed:
                        raise
                    slot.restart()
        # The process that watches answers was killed twice.
        lost = {"exit": 137, "in_time": True, "seconds": 0.0, "cpu_seconds": 0.0, "peak_kib": 0}
        return b"", lost

    @contextmanager
    def _slot(self) -> Iterator["Slot"]:
        """Take a free place to run in, and give it back."""
        slot = self.free.get()
        try:
            yield slot
        finally:
            self.free.put(slot)

    def attempt(
        self, slot: "Slot", kind: str, job: bytes, limits: Limits
    ) -> tuple[bytes | None, dict[str, Any]]:
        """Hand a job over; returns the bytes that came back (None: too many), and the end."""
        incoming, outgoing = os.pipe()
        with _held(job) as descriptor, os.fdopen(incoming, "rb", buffering=0) as results:
            try:
                slot.ask(kind, limits, descriptor, outgoing)
            finally:
                os.close(outgoing)
            frame = _receive(results, limits)
        return frame, slot.answer(GRACE)


@contextmanager
def _held(job: bytes) -> Iterator[int]:
    """Hold bytes where another process can read them: in memory, for a disk may be full."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("job"), "w+b") as file:
            file.write(job)
            file.seek(0)
            yield file.fileno()
    else:
        with tempfile.TemporaryFile() as file:
            file.write(job)
            file.seek(0)
            yield file.fileno()


def _receive(results: BinaryIO, limits: Limits) -> bytes | None:
    """Read until nothing more can come; None if there is more than `limits` allow."""
    pieces: list[bytes] = []
    size = 0
    deadline = time.monotonic() + limits.seconds + GRACE
    while select.select([results], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = results.read(1 << 16)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        if size > limits.result:
            return None
    raise SlotLost("nothing came back")


class WarmProcess:
    """The process that has imported torch, from which all others are forked; started when needed.

    Raises: RuntimeError, with what it printed, if it does not start.
    """

    def __init__(self, folder: str, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.lock = threading.Lock()
        self.closed = False
        self.process: subprocess.Popen[bytes] | None = None
        self.line: socket.socket | None = None

    def new_slot(self, number: int) -> socket.socket:
        """Have a keeper forked, and return the line to it.

        Raises: SlotLost once everything is closed.
        """
        with self.lock:
            if self.closed:
                raise SlotLost("closed")
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    self._hand_over(number, theirs)
                except OSError:
                    self.stop()
                    self._hand_over(number, theirs)
            return ours

    def _hand_over(self, number: int, theirs: socket.socket) -> None:
        """Give the warm process the far end of a line, starting it first if need be."""
        if self.line is None:
            self.start()
        assert self.line is not None
        socket.send_fds(self.line, [str(number).encode()], [theirs.fileno()])

    def start(self) -> None:
        """Start the process and wait until it is warm."""
        ours, theirs = socket.socketpair()
        # This becomes readable when the grader ends, however it ends and whoever holds a line.
        watched = os.pidfd_open(os.getpid()) if hasattr(os, "pidfd_open") else -1
        command = [sys.executable, "-m", "cleanformer_lite.checks.grading.worker"]
        command += [str(theirs.fileno()), self.folder, str(watched)]
        variables = _environment(self.folder)
        if self.sandbox.bubblewrap:
            command = wrap(command)
        with theirs:
            self.process = subprocess.Popen(
                command,
                cwd="/",
                env=variables,
                pass_fds=[theirs.fileno(), *([watched] if watched >= 0 else [])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        if watched >= 0:
            os.close(watched)
        ours.settimeout(START_SECONDS)
        if ours.recv(4) != b"warm":
            raise RuntimeError("wanted a process to run answers in, but it did not start")
        self.line = ours

    def stop(self) -> None:
        """End the process; its keepers end when their lines are closed."""
        if self.line is not None:
            self.line.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.line = self.process = None

    def close(self) -> None:
        """End the process for good."""
        with self.lock:
            self.closed = True
            self.stop()


class Slot:
    """One place where jobs run, one after the other."""

    def __init__(self, warm: WarmProcess, number: int) -> None:
        self.warm = warm
        self.number = number
        self.line: socket.socket | None = None

    def ask(self, kind: str, limits: Limits, job: int, result: int) -> None:
        """Have the job that can be read from one descriptor done, its result written to another.

        Raises: SlotLost if nobody is there.
        """
        if self.line is None:
            self.line = self.warm.new_slot(self.number)
        request = json.dumps({"kind": kind, "limits": limits.as_dict()}).encode()
        try:
            socket.send_fds(self.line, [request], [job, result])
        except OSError as error:
            raise SlotLost("nobody to ask") from error

    def answer(self, patience: float) -> dict[str, Any]:
        """Return how the process of the job ended.

        Raises: SlotLost if nothing is heard within `patience` seconds.
        """
        assert self.line is not None
        self.line.settimeout(patience)
        heard = b""
        try:
            while not heard.endswith(b"\n"):
                piece = self.line.recv(4096)
                if not piece:
                    raise SlotLost("hung up")
                heard += piece
        except OSError as error:
            raise SlotLost("nothing heard") from error
        ended: dict[str, Any] = json.loads(heard)
        return ended

    def hang_up(self) -> None:
        """End the process at the other end, and the answer that it runs; from any thread."""
        line = self.line
        if line is not None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for an answer
            line.close()

    def restart(self) -> None:
        """Drop a line that is dead; the next question opens a new one."""
        if self.line is not None:
            self.line.close()
        self.line = None


def _environment(folder: str) -> dict[str, str]:
    """Return the variables that answers see: none of yours that could hold a secret.

    One thread, because threads do not survive a fork, and no accelerator.
    """
    package = Path(__file__).resolve().parents[3]
    threads = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        **dict.fromkeys(threads, "1"),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(package),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": folder,
    }
