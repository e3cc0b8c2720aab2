"""Run one answer where it can do no harm, and bring back what was seen: the seam of grading.

Everything that grades goes through `Runner.run`. Stronger isolation (a container, another machine)
is another class with that one method.
"""

import json
import os
import queue
import secrets
import select
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

from cleanformer_lite.grading.folders import remove
from cleanformer_lite.grading.limits import Limits
from cleanformer_lite.grading.observed import Observed, understood
from cleanformer_lite.grading.slots import Slot, SlotLost, WarmProcess
from cleanformer_lite.grading.submissions import Submission

GRACE = 10.0


class RunsAnswers(Protocol):
    """Whatever can run an answer far from its grader."""

    def run(self, submission: Submission, exercise: str, seed: int) -> Observed: ...


class Runner:
    """Runs answers in processes of their own on this machine, `jobs` at once.

    Use it in a `with` statement; `run` may be called from several threads. What isolates an answer
    is listed in `cleanformer_lite.grading.confine`.
    """

    def __init__(self, limits: Limits | None = None, jobs: int = 1) -> None:
        if jobs < 1:
            raise ValueError(f"wanted at least 1 job, got {jobs}")
        self.limits = limits or Limits()
        self.jobs = jobs
        self.closed = False
        self.folder = tempfile.mkdtemp(prefix="cleanformer-answers-")
        os.chmod(self.folder, 0o711)
        self.warm = WarmProcess(self.folder)
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
        remove(self.folder)

    def run(self, submission: Submission, exercise: str, seed: int) -> Observed:
        """Run one answer and return what was seen. Nothing that an answer does raises here.

        Raises: SlotLost if the runner was closed meanwhile.
        """
        nonce = secrets.token_hex(16)
        task = {"exercise": exercise, "cells": submission.cells, "seed": seed, "nonce": nonce}
        with self.slot() as slot:
            for _ in range(2):
                try:
                    frame, ended = self.attempt(slot, json.dumps(task).encode())
                    return understood(frame, ended, nonce)
                except SlotLost:
                    if self.closed:
                        raise
                    slot.restart()
        return Observed("crashed", message="the process that watches the answer was killed")

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """Take a free place to run in, and give it back."""
        slot = self.free.get()
        try:
            yield slot
        finally:
            self.free.put(slot)

    def attempt(self, slot: Slot, task: bytes) -> tuple[bytes | None, dict[str, Any]]:
        """Hand a task over; returns the bytes that came back (None: too many), and the end."""
        incoming, outgoing = os.pipe()
        with tempfile.TemporaryFile() as job, os.fdopen(incoming, "rb", buffering=0) as results:
            try:
                job.write(task)
                job.seek(0)
                slot.ask(self.limits, job.fileno(), outgoing)
            finally:
                os.close(outgoing)
            frame = received(results, self.limits)
        return frame, slot.answer(GRACE)


def received(results: BinaryIO, limits: Limits) -> bytes | None:
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
