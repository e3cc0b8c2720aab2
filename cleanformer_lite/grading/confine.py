"""Take away what an answer does not need before it runs: rights, files, the network, its siblings.

What holds depends on the machine, and `describe` says it:

- Linux 5.13 and later (Landlock): an answer reads Python and its libraries, writes in its own
  empty folder, and opens no other file; from 6.7 on it opens no TCP connection either, and from
  6.12 on it sends no signal to a process outside.
- started as root (as in most containers): each answer runs as a user of its own without rights,
  without a network, and can start no process.
- elsewhere plain POSIX limits remain: an answer runs as you, and could read or delete what you can.
  macOS does not even limit memory. Grade strangers' work in a container there, or on Linux.

What nothing here prevents: an answer may import this package's own right answers, or copy the
solutions that the book prints. Without root it may change the mode and the dates of your files, and
send UDP, or kill the process that watches it and outlive it where Linux has no Landlock 6.
Submissions that lie below Python's own folders or /usr can be read. Answers that run at the same
time share the processors, so give `--seconds` room on a busy machine, and they share the disk: one
file is held to 16 MiB, their number only by time, until the answer's folder is cleared.
"""

import ctypes
import importlib.util
import os
import sysconfig
from functools import cache
from pathlib import Path

from cleanformer_lite.grading import landlock

FIRST_USER = 60578  # the beginning of a range that systemd's documentation leaves to nobody
NEW_NETWORK, NEW_MESSAGE_QUEUES = 0x40000000, 0x08000000
SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/proc/self", "/proc/cpuinfo", "/proc/meminfo")
DEVICES = ("/dev/urandom", "/dev/random", "/dev/zero")


def confine(workplace: Path, user: int | None) -> None:
    """Give up, for good, all that an answer does not need.

    `workplace` is the folder that it may write in; `user` the user that it becomes, if any.

    Raises: OSError if a step that this machine offers fails: an answer must not run then.
    """
    landlock.restrict(readable(), [workplace, Path("/dev/null")])
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


@cache
def readable() -> list[Path]:
    """Return what Python and torch read while they run."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    for package in ("torch", "numpy", "cleanformer_lite"):
        found = importlib.util.find_spec(package)
        paths += list(found.submodule_search_locations or []) if found else []
    return [Path(path) for path in (*paths, *SYSTEM, *DEVICES)]


def user_of(slot: int) -> int | None:
    """Return the user that answers in this slot become: root's answers become one each."""
    user = FIRST_USER + slot
    return user if os.geteuid() == 0 and exists_here(user) else None


def exists_here(user: int) -> bool:
    """Say whether a process can become this user: a container may know only a few."""
    try:
        ranges = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return True
    spans = [[int(number) for number in line.split()] for line in ranges]
    return any(first <= user < first + count for first, _, count in spans)


def leave_network() -> None:
    """Give this process, and all that it starts, a network of its own with nothing in it."""
    if os.geteuid() == 0 and os.uname().sysname == "Linux":
        ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK | NEW_MESSAGE_QUEUES)


def describe() -> str:
    """Say in one line what holds on this machine."""
    offered = landlock.version()
    files = f"files held back by Landlock {offered}" if offered else "files NOT held back"
    user = "a user without rights" if user_of(0) else "your own user"
    return f"each answer in a process of its own, as {user}, {files}"


if __name__ == "__main__":
    print(describe())
