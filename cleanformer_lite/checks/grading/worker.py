"""The process that runs answers; it has imported torch, so that its forks start at once.

It holds no submission and no expected value. For every line that it is handed it forks a
supervisor, which forks one clean process a job, limits its time, and removes what it leaves.
"""

import ctypes
import gc
import importlib
import itertools
import json
import os
import resource
import secrets
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from cleanformer_lite.checks import EXERCISES, NoAnswer, observe
from cleanformer_lite.checks.grading import confine, taken
from cleanformer_lite.checks.grading.jobs import run
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.wire import encode

# What answers import most: read once here rather than by each of them. Also, a user without rights
# may not be allowed to read them later.
COMMON = (
    *("abc", "collections", "copy", "dataclasses", "enum", "functools", "inspect", "itertools"),
    *("json", "math", "operator", "random", "statistics", "string", "textwrap", "time", "typing"),
    *("encodings.utf_8_sig", "encodings.unicode_escape", "linecache", "tokenize"),
    *("numpy", "einops", "torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.optim"),
)
LONGEST_REQUEST = 4096
LOOK_EVERY = 1.0
CLEARING_SECONDS = 5.0
HUGE_PAGE, COLLAPSE = 2 * 1024 * 1024, 25


def main() -> None:
    """Serve a grader until it closes the line or ends.

    Arguments: the number of the line's file descriptor, the folder that answers work in, and the
    number of a descriptor that becomes readable when the grader ends (-1 where there is none).
    """
    descriptor, folder, grader = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors leave no zombies
    try:
        os.makedirs(folder, mode=0o711, exist_ok=True)
        warm_up()
        serve(socket.socket(fileno=descriptor), folder, grader)
    except ConnectionError:  # the grader is gone, perhaps before this was warm
        pass
    finally:
        remove(folder, 60.0)


def warm_up() -> None:
    """Import torch and run what is slow at first, in one thread, because forks lose the others."""
    torch.set_num_threads(1)
    for name in COMMON:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    confine.readable()  # remembered: every fork would search again
    layer = torch.nn.Linear(2, 2)
    layer(torch.zeros(1, 2)).softmax(dim=-1).sum().backward()
    torch.func.jacrev(torch.sin)(torch.zeros(1))  # imports 800 modules the first time
    for exercise in EXERCISES.values():
        observe(exercise, None, seed=0)  # every call of None raises
    encode({}, NoAnswer(), LONGEST_REQUEST)
    taken.prepare()
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page that holds an object
    use_huge_pages()


def use_huge_pages() -> None:
    """Have Linux, from 6.1 on, gather this process's memory in pages of 2 MiB.

    A fork then copies hundreds of entries of the page table, not fifty thousand, and its end frees
    as many. Where the system refuses, everything works as before.

    Source: madvise(2), MADV_COLLAPSE.
    """
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    libc = ctypes.CDLL(None)
    for line in lines:
        span, rights, _, _, inode, *name = line.split(maxsplit=5)
        if rights != "rw-p" or inode != "0" or name not in ([], ["[heap]"]):
            continue
        first, last = (int(end, 16) for end in span.split("-"))
        first, last = -(-first // HUGE_PAGE) * HUGE_PAGE, last // HUGE_PAGE * HUGE_PAGE
        if first < last:
            libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), COLLAPSE)


def serve(line: socket.socket, folder: str, grader: int) -> None:
    """Fork a supervisor for every line that is handed over."""
    line.sendall(b"warm")
    warm = os.getpid()
    while hears(line, grader):
        slot, descriptors, _, _ = socket.recv_fds(line, 16, 1)
        if not slot:
            return
        if os.fork() == 0:
            _become_supervisor(line, folder, int(slot), descriptors, warm)
        for descriptor in descriptors:
            os.close(descriptor)


def hears(line: socket.socket, grader: int = -1) -> bool:
    """Wait until something comes over a line; False if the process at its other end is gone.

    A closed line is no sure sign, because another child of the grader may hold it open.
    """
    parent = os.getppid()
    watched = [line] if grader < 0 else [line, grader]
    while os.getppid() == parent:
        ready = select.select(watched, [], [], LOOK_EVERY)[0]
        if grader in ready:
            return False
        if ready:
            return True
    return False


def _become_supervisor(
    line: socket.socket, folder: str, slot: int, descriptors: list[int], warm: int
) -> None:
    """Turn this process into a supervisor; never returns."""
    try:
        confine.end_with(warm)
        line.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        keep(socket.socket(fileno=descriptors[0]), folder, slot)
    except ConnectionError:  # the grader is gone
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def keep(line: socket.socket, folder: str, slot: int) -> None:
    """Serve requests until the other end hangs up: do a job, send back how its process ended.

    A request carries two file descriptors: the job to read, and the pipe for the result. This
    process never reads either, so it holds no submission that a later answer could find.
    """
    confine.separate()
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    while hears(line):
        text, descriptors, _, _ = socket.recv_fds(line, LONGEST_REQUEST, 2)
        if not text:
            return
        job, result = descriptors
        request = json.loads(text)
        # Files are judged as another user than the one whose answers run.
        user = confine.user_of(2 * slot + (request["kind"] != "answer"))
        ended = _one_job(line, wake, job, result, folder, user, Limits(**request["limits"]))
        with suppress(OSError):
            line.sendall(json.dumps(ended).encode() + b"\n")


def _one_job(
    line: socket.socket,
    wake: int,
    job: int,
    result: int,
    folder: str,
    user: int | None,
    limits: Limits,
) -> dict[str, Any]:
    """Fork, wait and clean up; return how the process ended and what it used."""
    workplace = Path(tempfile.mkdtemp(prefix="answer-", dir=folder))
    mounted = confine.mount_folder(workplace, user)
    if user is not None and not mounted:
        os.chown(workplace, user, user)
    began, supervisor = time.monotonic(), os.getpid()
    child = os.fork()
    if child == 0:
        _become_answer(supervisor, job, result, workplace, user, limits)
    os.close(job)
    os.close(result)
    status, usage, in_time = _wait(line, wake, child, began + limits.seconds)
    seconds = time.monotonic() - began
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # whatever an answer started
    if mounted:
        confine.unmount_folder(workplace)
    remove(workplace, CLEARING_SECONDS)
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "in_time": in_time,
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_kib": usage.ru_maxrss,
    }


def _become_answer(
    supervisor: int, job: int, result: int, workplace: Path, user: int | None, limits: Limits
) -> None:
    """Turn this process into the one that does the job; never returns."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        run(supervisor, job, result, workplace, user, limits)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)


def _wait(
    line: socket.socket, wake: int, child: int, deadline: float
) -> tuple[int, resource.struct_rusage, bool]:
    """Wait until a child ends, its time is up, or the grader is gone; then end it.

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


def remove(folder: str | os.PathLike[str], seconds: float) -> None:
    """Remove a folder of any depth, follow no link, and give up on what resists or takes long.

    Not shutil.rmtree: that calls itself for each level, and a thousand levels end the caller. Here
    folders within folders move up until there are none.
    """
    name, numbers, deadline = secrets.token_hex(8), itertools.count(), time.monotonic() + seconds
    with suppress(OSError):
        while inner := _emptied(os.fspath(folder), deadline):
            for path in inner:
                for deeper in _emptied(path, deadline):
                    os.rename(deeper, os.path.join(folder, f"{name}-{next(numbers)}"))
                os.rmdir(path)
        os.rmdir(folder)


def _emptied(folder: str, deadline: float) -> list[str]:
    """Remove all files and links of a folder; return its folders, made removable.

    Raises: TimeoutError after the deadline.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if time.monotonic() > deadline:
                raise TimeoutError
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)
                found.append(entry.path)
            else:
                os.unlink(entry.path)
    return found


if __name__ == "__main__":
    main()
