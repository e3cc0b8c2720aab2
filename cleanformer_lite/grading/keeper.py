"""Fork one clean process per answer, hold it to its time, and clear away what it leaves."""

import json
import os
import resource
import select
import signal
import socket
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from cleanformer_lite.grading.answer_process import run
from cleanformer_lite.grading.confine import leave_network, user_of
from cleanformer_lite.grading.folders import remove
from cleanformer_lite.grading.limits import Limits
from cleanformer_lite.grading.parents import hears

LONGEST_REQUEST = 4096


def keep(line: socket.socket, slot: int, warm: int) -> None:
    """Serve requests until the other end hangs up: run one answer, say how its process ended.

    A request carries two file descriptors: the job to read, and the pipe for the result. This
    process never reads either, so it holds no submission that a later answer could find.
    """
    leave_network()
    user = user_of(slot)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    while hears(line, warm):
        request, descriptors, _, _ = socket.recv_fds(line, LONGEST_REQUEST, 2)
        if not request:
            return
        job, result = descriptors
        ended = one_answer(line, wake, job, result, user, Limits(**json.loads(request)))
        with suppress(OSError):
            line.sendall(json.dumps(ended).encode() + b"\n")


def one_answer(
    line: socket.socket, wake: int, job: int, result: int, user: int | None, limits: Limits
) -> dict[str, Any]:
    """Fork, wait, clear away; returns how the process ended and what it used."""
    workplace = Path(tempfile.mkdtemp(prefix="answer-"))
    if user is not None:
        os.chown(workplace, user, user)
    began, keeper = time.monotonic(), os.getpid()
    child = os.fork()
    if child == 0:
        become_answer(keeper, job, result, workplace, user, limits)
    os.close(job)
    os.close(result)
    status, usage, in_time = waited(line, wake, child, began + limits.seconds)
    clear_away(child, workplace)
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "in_time": in_time,
        "seconds": time.monotonic() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_kib": usage.ru_maxrss,
    }


def become_answer(
    keeper: int, job: int, result: int, workplace: Path, user: int | None, limits: Limits
) -> None:
    """Turn this process into the answer's; never returns."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        run(keeper, job, result, workplace, user, limits)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)


def waited(
    line: socket.socket, wake: int, child: int, deadline: float
) -> tuple[int, resource.struct_rusage, bool]:
    """Wait until a child ends, its time is up, or nobody is left to care; then it is dead.

    Returns its status, what it used, and whether it ended in time. `wake` becomes readable when a
    child ends.
    """
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return status, usage, True
        ready, _, _ = select.select([line, wake], [], [], max(0.0, deadline - time.monotonic()))
        if wake in ready:
            os.read(wake, 4096)
        elif line in ready or time.monotonic() >= deadline:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return status, usage, False


def clear_away(child: int, workplace: Path) -> None:
    """Kill whatever an answer started, and remove its folder."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    remove(workplace)
