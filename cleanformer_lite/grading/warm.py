"""The warmed process: it has imported torch once, so that a fork of it starts in milliseconds.

It holds no submission and no expected value. For every line that it is handed it forks a keeper.
"""

import gc
import importlib
import os
import signal
import socket
import sys
import traceback

import torch

from cleanformer_lite.grading import confine, keeper, parents
from cleanformer_lite.grading.folders import remove

# What answers import most: read once here rather than by each of them. Also, a user without rights
# may not be allowed to read them later.
COMMON = (
    *("abc", "collections", "copy", "dataclasses", "enum", "functools", "inspect", "itertools"),
    *("json", "math", "operator", "random", "statistics", "string", "textwrap", "time", "typing"),
    *("numpy", "einops", "torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.optim"),
)


def main() -> None:
    """Serve a grader, until its line is closed or it is gone.

    Arguments: the number of the line's file descriptor, the folder to remove in the end (a grader
    that was killed cannot do it), the number of the grader's process.
    """
    descriptor, folder, grader = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers leave no zombies
    try:
        warm_up()
        serve(socket.socket(fileno=descriptor), grader)
    except BrokenPipeError:  # the grader was gone before this was warm
        pass
    finally:
        remove(folder)


def serve(line: socket.socket, grader: int) -> None:
    """Fork a keeper for every line that is handed over."""
    line.sendall(b"warm")
    warm = os.getpid()
    while parents.hears(line, grader):
        slot, descriptors, _, _ = socket.recv_fds(line, 16, 1)
        if not slot:
            return
        if os.fork() == 0:
            become_keeper(line, int(slot), descriptors, warm)
        for descriptor in descriptors:
            os.close(descriptor)


def warm_up() -> None:
    """Import, and run what is slow the first time, in one thread: a fork would lose the others."""
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
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page that holds an object


def become_keeper(line: socket.socket, slot: int, descriptors: list[int], warm: int) -> None:
    """Turn this process into a keeper; never returns."""
    try:
        parents.end_with(warm)
        line.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        own = socket.socket(fileno=descriptors[0])
        keeper.keep(own, slot, warm)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
