"""Start, ask and replace the processes that do jobs, from the grader's side."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.sandbox import Sandbox, wrap

START_SECONDS = 120.0
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV")


class SlotLostError(RuntimeError):
    """The supervising process is gone, killed by an answer or by the system."""


class WarmProcess:
    """The process that has imported torch and forks all others; it starts when needed.

    Raises: RuntimeError, with its output, if it does not start.
    """

    def __init__(self, folder: str, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.lock = threading.Lock()
        self.closed = False
        self.process: subprocess.Popen[bytes] | None = None
        self.line: socket.socket | None = None

    def new_slot(self, number: int) -> socket.socket:
        """Have a supervisor forked, and return the line to it.

        Raises: SlotLostError once everything is closed.
        """
        with self.lock:
            if self.closed:
                raise SlotLostError("closed")
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
        """End the process; its supervisors end when their lines are closed."""
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
        """Have a job read from one descriptor, and its result written to another.

        Raises: SlotLostError if the other end is closed.
        """
        if self.line is None:
            self.line = self.warm.new_slot(self.number)
        request = json.dumps({"kind": kind, "limits": limits.as_dict()}).encode()
        try:
            socket.send_fds(self.line, [request], [job, result])
        except OSError as error:
            raise SlotLostError("nobody to ask") from error

    def answer(self, patience: float) -> dict[str, Any]:
        """Return how the process of the job ended.

        Raises: SlotLostError if nothing is heard within `patience` seconds.
        """
        assert self.line is not None
        self.line.settimeout(patience)
        heard = b""
        try:
            while not heard.endswith(b"\n"):
                piece = self.line.recv(4096)
                if not piece:
                    raise SlotLostError("hung up")
                heard += piece
        except OSError as error:
            raise SlotLostError("nothing heard") from error
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
    """Return the environment of answers, without variables that could hold a secret.

    It sets one thread, because threads do not survive a fork, and hides accelerators.
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
