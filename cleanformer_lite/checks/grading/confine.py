"""Take away what an answer does not need before it runs: rights, files, calls, its siblings."""

import ctypes
import importlib.util
import os
import signal
import struct
import sys
import sysconfig
from contextlib import suppress
from functools import cache
from pathlib import Path

from cleanformer_lite.checks.grading import landlock, seccomp
from cleanformer_lite.checks.grading.limits import MIB

FIRST_USER = 60578  # the beginning of a range that systemd's documentation leaves to nobody
SYSTEM = ("/usr", "/lib", "/lib64", "/proc/self", "/proc/cpuinfo", "/proc/meminfo")
ETC = ("ld.so.cache", "localtime", "passwd", "group", "nsswitch.conf", "alternatives")
DEVICES = ("/dev/urandom", "/dev/random", "/dev/zero")
FOLDER_BYTES, FOLDER_ENTRIES = 64 * MIB, 4096
END_WITH_PARENT = 1
NEW_MOUNTS, NEW_NETWORK, NEW_IPC = 0x00020000, 0x40000000, 0x08000000
NO_SUID, NO_DEVICES, NO_EXEC, RECURSIVE, PRIVATE = 2, 4, 8, 16384, 1 << 18
DETACH = 2
CAPABILITIES_VERSION = 0x20080522


def confine(workplace: Path, user: int | None, supervisor: int, processes: int = 0) -> None:
    """Give up, for good, all that an answer does not need, and end when the supervisor ends.

    `workplace` is the folder that it may write in; `user` the user that it becomes, if any;
    `processes` how many it may start.

    Raises: OSError if a step that this machine offers fails: an answer must not run then.
    """
    landlock.restrict(readable(), [workplace, Path("/dev/null")])
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    _drop_capabilities()
    end_with(supervisor)  # a change of user makes the system forget it, a filter forbids to ask
    seccomp.restrict(processes)


def _drop_capabilities() -> None:
    """Give up what a user without rights has within a sandbox of its own."""
    if os.uname().sysname == "Linux":
        header = struct.pack("=Ii", CAPABILITIES_VERSION, 0)
        if ctypes.CDLL(None, use_errno=True).capset(header, bytes(24)) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def end_with(parent: int) -> None:
    """Have this process killed when its parent ends, where the system can (Linux).

    Source: prctl(2).
    """
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it was asked for
        os._exit(0)


@cache
def readable() -> list[Path]:
    """Return what Python and torch read while they run."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    for package in ("torch", "numpy", "cleanformer_lite"):
        found = importlib.util.find_spec(package)
        paths += list(found.submodule_search_locations or []) if found else []
    etc = [f"/etc/{name}" for name in ETC]
    return [Path(path) for path in (*paths, *SYSTEM, *etc, *DEVICES)]


def interpreter() -> list[Path]:
    """Return where Python itself lies, with what it is linked to: what a sandbox must show."""
    paths = [Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix), *readable()]
    paths += [Path(text) for text in os.environ.get("LD_LIBRARY_PATH", "").split(":") if text]
    # A sandbox has a /proc and a /dev of its own.
    shown = {path for path in paths if path.parts[1:2] not in (("proc",), ("dev",))}
    shown |= {path.resolve() for path in shown if path.exists()}
    return [path for path in sorted(shown) if path.exists() and path != Path("/")]


def user_of(slot: int) -> int | None:
    """Return the user that answers in this slot become: root's answers become one each."""
    user = FIRST_USER + slot
    return user if os.geteuid() == 0 and _exists_here(user) else None


def _exists_here(user: int) -> bool:
    """Say whether a process can become this user: a container may know only a few."""
    try:
        ranges = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return True
    spans = [[int(number) for number in line.split()] for line in ranges]
    return any(first <= user < first + count for first, _, count in spans)


def separate() -> None:
    """Give this process, and all that it starts, empty namespaces, as far as its rights allow.

    Within a sandbox there are some already; then this changes nothing that matters.
    """
    if os.uname().sysname != "Linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for kind in (NEW_NETWORK, NEW_IPC):
        libc.unshare(kind)
    if libc.unshare(NEW_MOUNTS) == 0:
        libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None)
        _hide_mounts.append(True)


_hide_mounts: list[bool] = []


def mount_folder(folder: Path, user: int | None) -> bool:
    """Put a small empty file system of its own over a folder, where this process has the right.

    What is written there counts as memory, is held to 64 MiB and 4,096 entries, and is gone at once
    when the folder is taken away.
    """
    if not _hide_mounts:
        return False
    owner = "" if user is None else f",uid={user},gid={user}"
    options = f"size={FOLDER_BYTES},nr_inodes={FOLDER_ENTRIES},mode=700{owner}"
    flags = NO_SUID | NO_DEVICES | NO_EXEC
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.mount(b"tmpfs", bytes(folder), b"tmpfs", flags, options.encode()) == 0)


def unmount_folder(folder: Path) -> None:
    """Take away what `mount_folder` put over a folder, whatever is in it."""
    with suppress(OSError):
        ctypes.CDLL(None, use_errno=True).umount2(bytes(folder), DETACH)
