"""Run jobs in confined processes, and collect their results."""

import json
import os
import queue
import secrets
import select
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.limits import MIB, Limits
from cleanformer_lite.checks.grading.result import Result, how_it_ended, without_points
from cleanformer_lite.checks.grading.sandbox import choose
from cleanformer_lite.checks.grading.slots import Slot, SlotLostError, WarmProcess
from cleanformer_lite.checks.grading.submissions import Submission
from cleanformer_lite.checks.grading.worker import remove

GRACE = 10.0
JUDGING_SECONDS = 10.0  # of one answer
CLEARING_SECONDS = 60.0


@dataclass(frozen=True)
class Attempt:
    """The outcome of one run of an answer: bytes not read yet, and how its process ended."""

    exercise: str
    seed: int
    nonce: str
    frame: bytes | None
    ended: dict[str, Any]

    @property
    def timed_out(self) -> bool:
        return (how_it_ended(self.frame, self.ended) or ("",))[0] == "timeout"


class Runner:
    """Run code of files in processes of their own on this machine, `jobs` at once.

    Use it in a `with` statement; its methods may be called from several threads. `sandbox`
    says how far answers are isolated.
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
        self.folder = f"/tmp/cleanformer-answers-{secrets.token_hex(8)}"  # within the sandbox
        if not self.sandbox.bubblewrap:
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
        if not self.sandbox.bubblewrap:
            remove(self.folder, CLEARING_SECONDS)

    def read(self, submission: Submission, exercises: Sequence[str]) -> dict[str, Any]:
        """Take a file apart: the code that each exercise needs, or "trouble" and a reason.

        No file makes it raise anything else.

        Raises: SlotLostError if the runner was closed meanwhile.
        """
        task = {"kind": "read", "notebook": submission.is_notebook, "exercises": list(exercises)}
        # What comes back is the file's own text once more; JSON may write six bytes for one.
        limits = replace(self.limits, result=6 * len(submission.content) + MIB)
        frame, ended = self._do(task, submission.content, limits)
        trouble = how_it_ended(frame, ended)
        if trouble is not None:
            return {"trouble": f"cannot be taken apart: {trouble[1]}"}
        outline: dict[str, Any] = json.loads(frame or b"{}")
        for answer in outline.get("answers", {}).values():
            answer["code"] = [outline["whole"][number] for number in answer["code"]]
        return outline

    def run(
        self,
        exercise: str,
        code: Sequence[Sequence[Any]],
        seed: int,
        broken: Sequence[str] = (),
        right: Sequence[str] = (),
    ) -> Attempt:
        """Run the code of one answer and observe it. No answer makes it raise anything else.

        `right` names other exercises whose answers are replaced by right ones before it is tried.

        Raises: SlotLostError if the runner was closed meanwhile.
        """
        nonce = secrets.token_hex(16)
        task = {"kind": "answer", "exercise": exercise, "seed": seed, "nonce": nonce}
        task |= {"code": list(code), "broken": list(broken), "right": list(right)}
        frame, ended = self._do(task, b"", self.limits)
        return Attempt(exercise, seed, nonce, frame, ended)

    def judge(self, attempts: Sequence[Attempt]) -> list[Result]:
        """Judge several attempts, together if that works, or else one by one.

        Raises: SlotLostError if the runner was closed meanwhile.
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
                reason = "its observations take too long, or too much memory, to judge"
                alone = [without_points(EXERCISES[attempt.exercise], "refused", reason)]
            results += alone
        return results

    def _judged(self, attempts: Sequence[Attempt], seconds: float) -> list[Result] | None:
        """Judge in one process; None if the process failed."""
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
        """Have a job done, and repeat it once if the supervising process is lost."""
        job = json.dumps(task).encode() + b"\n" + body
        with self._slot() as slot:
            for _ in range(2):
                try:
                    return self.attempt(slot, str(task["kind"]), job, limits)
                except SlotLostError:
                    if self.closed:
                        raise
                    slot.restart()
        # The process that watches answers was killed twice.
        lost = {"exit": 137, "in_time": True, "seconds": 0.0, "cpu_seconds": 0.0, "peak_kib": 0}
        return b"", lost

    @contextmanager
    def _slot(self) -> Iterator[Slot]:
        """Borrow a free slot."""
        slot = self.free.get()
        try:
            yield slot
        finally:
            self.free.put(slot)

    def attempt(
        self, slot: Slot, kind: str, job: bytes, limits: Limits
    ) -> tuple[bytes | None, dict[str, Any]]:
        """Hand over a job; return the bytes that came back (None: too many), and how it ended."""
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
    """Hold bytes in memory that another process can read, because a disk may be full."""
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
    """Read to the end; None if there is more than `limits` allow."""
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
    raise SlotLostError("nothing came back")
