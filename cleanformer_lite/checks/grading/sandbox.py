"""Choose what isolates answers on this machine, and say what stays open.

There are two layers. The outer one is bubblewrap: the process from which all answers are forked
runs in namespaces of its own, where no file of yours exists, no process of yours and no network.
The inner one stands around each answer: Landlock (files), seccomp (system calls), limits, and a
user without rights where grading runs as root. Each holds without the other.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cleanformer_lite.checks.grading import landlock, seccomp
from cleanformer_lite.checks.grading.confine import interpreter, user_of
from cleanformer_lite.checks.grading.limits import MIB

ISOLATION = ("auto", "bubblewrap", "kernel", "none")
SHARED_BYTES = 256 * MIB
RIGHTS_OF_ROOT = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SYS_ADMIN")
INSTALL = """\
Too little keeps answers away from your files on this machine: {found}.
Bubblewrap does not run here: {trouble}.
Grade on Linux 5.13 or later, best with bubblewrap (Debian and Ubuntu: apt install bubblewrap).
If you trust every submission, or grade inside a container or a virtual machine that you throw
away afterwards, --isolation none goes on with what there is."""
ALWAYS_OPEN = (
    "An answer can take a right one from this package, or copy the solutions that the book prints. "
    "That cannot be prevented, but it is noticed: grades.json names answers that mention, read, "
    "call, unpickle, copy or open what is ours, that look into the interpreter, and that are alike "
    "to the character. Look at them. What is noticed is sent at once, so nothing can unsay it; but "
    "who knows how it is noticed can get around it, such as by taking a right answer's source, "
    "unseen by Python, and changing it.",
    "An answer can invent the observations about itself. They are drawn from a seed that it "
    "learns when it starts, so it needs a right answer to invent right ones.",
    "Answers that run at the same time share the processors and the memory's bandwidth: one can "
    "slow another. Give --seconds room on a busy machine.",
    "A fault in Linux itself, in the calls that remain, is not guarded against. For answers from "
    "people you do not know, grade on a machine that holds nothing else.",
)


@dataclass(frozen=True)
class Sandbox:
    """The layers that isolate answers: bubblewrap, Landlock's version, seccomp, separate users."""

    bubblewrap: bool
    landlock: int
    seccomp: bool
    users: bool

    @property
    def enough(self) -> bool:
        """Say whether strangers' files may be run: at least one layer closes each way out."""
        return self.seccomp and (self.bubblewrap or self.landlock > 0)

    def __str__(self) -> str:
        user = "a user without rights" if self.users else "your own user"
        layers = [
            "bubblewrap" if self.bubblewrap else "NO bubblewrap",
            f"Landlock {self.landlock}" if self.landlock else "NO Landlock (files)",
            "seccomp" if self.seccomp else "NO seccomp (system calls)",
        ]
        return f"each answer in a process of its own, as {user}: {', '.join(layers)}"

    def open_ways(self) -> list[str]:
        """List in sentences what is not prevented here."""
        ways = list(ALWAYS_OPEN)
        if not self.bubblewrap:
            ways.append(
                "Without bubblewrap an answer can read what lies below /usr and Python's own "
                "folders, and see the names of files elsewhere."
                if self.landlock
                else "Files are NOT held back: an answer can read, change and delete yours."
            )
            if not self.users:
                ways.append(
                    "Without bubblewrap or root, an answer's folder lies on the disk: one file is "
                    "held to 16 MiB, their number only by time."
                )
        if not self.seccomp:
            ways.append(
                "Without seccomp an answer can open sockets, signal your processes, change their "
                "limits and priority, and the modes of your files."
            )
        if not sys.platform.startswith("linux"):
            ways.append("Memory is not limited on this system.")
        return ways


def choose(isolation: str = "auto") -> Sandbox:
    """Return the layers to use: "auto" takes all that work, and never refuses.

    Raises: ValueError for another word, or if bubblewrap is asked for and does not run.
    """
    if isolation not in ISOLATION:
        raise ValueError(f"wanted one of {', '.join(ISOLATION)}, got {isolation}")
    trouble = _bubblewrap_trouble() if isolation in ("auto", "bubblewrap") else "not asked for"
    if isolation == "bubblewrap" and trouble:
        raise ValueError(f"wanted bubblewrap, but it does not run here: {trouble}")
    return Sandbox(not trouble, landlock.version(), seccomp.available(), user_of(0) is not None)


def require(isolation: str) -> Sandbox:
    """Return the layers to use, if they are enough for strangers' files.

    Raises: ValueError, saying what to install, if it is not and "none" was not asked for.
    """
    sandbox = choose(isolation)
    if isolation != "none" and not sandbox.enough:
        raise ValueError(INSTALL.format(found=sandbox, trouble=_bubblewrap_trouble()))
    return sandbox


@cache
def _bubblewrap_trouble() -> str:
    """Say why bubblewrap cannot be used, in its own words; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "it runs on Linux only"
    if shutil.which("bwrap") is None:
        return "not installed"
    try:
        done = subprocess.run(wrap(["true"]), capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip()[:200] or "it failed"


def wrap(command: list[str], variables: dict[str, str] | None = None) -> list[str]:
    """Return a command that runs another inside bubblewrap, with only Python to read."""
    root = os.geteuid() == 0
    arguments = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    arguments += ["--unshare-cgroup-try"]
    if root:
        # Root's answers become users of their own, which one user namespace cannot hold.
        for right in RIGHTS_OF_ROOT:
            arguments += ["--cap-add", f"CAP_{right}"]
    else:
        arguments += ["--unshare-user", "--cap-add", "CAP_SYS_ADMIN"]
    # First the empty folder: this package, or its Python, may stand in /tmp itself.
    arguments += ["--perms", "0711", "--size", str(SHARED_BYTES), "--tmpfs", "/tmp"]
    shown = _outermost(interpreter())
    made = {above for path in shown for above in path.parents} - {Path("/"), Path("/tmp")}
    for folder in sorted(made):
        arguments += ["--perms", "0755", "--dir", str(folder)]  # some are closed to others outside
    for path in shown:
        arguments += ["--ro-bind", str(path), str(path)]
    for name in ("bin", "sbin", "lib", "lib64"):
        link = Path("/", name)
        if link.is_symlink():
            arguments += ["--symlink", os.readlink(link), str(link)]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    for name, value in (variables or {}).items():
        arguments += ["--setenv", name, value]
    return [*arguments, "--chdir", "/tmp", "--", *command]


def _outermost(paths: list[Path]) -> list[Path]:
    """Return the paths that no other path contains, without links at the root."""
    kept: list[Path] = []
    for path in paths:
        link = path.is_symlink() and len(path.parts) == 2
        if not link and not any(path.is_relative_to(above) for above in kept):
            kept.append(path)
    return kept


def describe() -> str:
    """Describe the isolation on this machine, and what stays open."""
    sandbox = choose()
    enough = "enough for strangers' files" if sandbox.enough else "NOT enough for strangers' files"
    trouble = _bubblewrap_trouble()
    lines = [f"{sandbox}: {enough}"]
    lines += [f"bubblewrap does not run here: {trouble}"] if trouble else []
    return "\n".join([*lines, "", "What stays open:", *(f"- {way}" for way in sandbox.open_ways())])
