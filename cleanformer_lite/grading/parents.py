"""End with the process that one works for, however that one ends: SIGKILL says no goodbye."""

import ctypes
import os
import select
import signal
import socket

END_WITH_PARENT = 1
LOOK_EVERY = 1.0


def hears(line: socket.socket, parent: int) -> bool:
    """Wait until something comes over a line; False if the parent is gone before.

    The end of the line is no sure sign: another child of the parent may hold the other end open.
    """
    while os.getppid() == parent:
        if select.select([line], [], [], LOOK_EVERY)[0]:
            return True
    return False


def end_with(parent: int) -> None:
    """Have this process killed when its parent ends, where the system can (Linux).

    To be asked for after the last change of user, which makes the system forget it.

    Source: prctl(2).
    """
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it was asked for
        os._exit(0)
