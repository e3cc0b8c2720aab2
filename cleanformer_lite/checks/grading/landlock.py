"""Have Linux keep a process from files, network and other processes; no rights needed."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every processor
PATH_BENEATH = 1
NO_NEW_PRIVILEGES = 38
READ_FILE, READ_FOLDER, WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
TRUNCATE = 1 << 14
# What each version of Landlock can hold back: files, TCP connections, signals and sockets.
FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
TCP = 0b11
SIGNALS_AND_SOCKETS = 0b11


def version() -> int:
    """Return which version of Landlock this kernel offers, 0 for none.

    Source: landlock(7).
    """
    if os.uname().sysname != "Linux":
        return 0
    found = ctypes.CDLL(None, use_errno=True).syscall(CREATE_RULESET, None, 0, 1)
    return max(0, int(found))


def restrict(read: Iterable[Path], write: Iterable[Path]) -> bool:
    """Let this process, for good, read only below `read` and change only below `write`.

    If the kernel offers it, TCP is closed too, and no signal reaches a process outside. Returns
    False if the kernel has no Landlock, and changes nothing then.

    Raises: OSError if the kernel offers Landlock but refuses a step.

    Source: landlock(7).
    """
    offered = version()
    if not offered:
        return False
    handled = FILES[min(offered, 5)]
    tcp, scoped = TCP if offered >= 4 else 0, SIGNALS_AND_SOCKETS if offered >= 6 else 0
    size = 24 if offered >= 6 else 16 if offered >= 4 else 8
    attributes = struct.pack("=QQQ", handled, tcp, scoped)[:size]
    libc = ctypes.CDLL(None, use_errno=True)
    rules = checked(libc.syscall(CREATE_RULESET, attributes, size, 0))
    for path in read:
        allow(libc, rules, path, READ_FILE | READ_FOLDER)
    for path in write:
        allow(libc, rules, path, handled & ~1)  # all but executing
    checked(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    checked(libc.syscall(RESTRICT_SELF, rules, 0))
    os.close(rules)
    return True


def allow(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    """Add one path to the rules; a path that does not exist needs none."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            access &= READ_FILE | WRITE_FILE | TRUNCATE
        checked(libc.syscall(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", access, place), 0))
    finally:
        os.close(place)


def checked(result: int) -> int:
    """Return a system call's result, or raise its error."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
