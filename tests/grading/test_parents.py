"""A grader that is killed leaves nothing behind: no process, no folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.grading.conftest import LAYERS

needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
# A child of the grader that holds all its descriptors open, so that no line ever ends.
GRADER = """
import os, sys, time
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.runner import Runner

class Held(Runner):
    def attempt(self, slot, kind, job, limits):
        if os.fork() == 0:
            os.close(1)
            time.sleep(60)
            os._exit(0)
        print("asked", flush=True)
        return super().attempt(slot, kind, job, limits)

with Held(Limits(seconds=60), isolation=sys.argv[2]) as runner:
    print(runner.folder, flush=True)
    if sys.argv[1] == "running":
        runner.warm.start()
    answer = "import time\\ndef merge_heads(x): time.sleep(60)"
    runner.run("split_heads.merge", [("", 1, answer)], seed=1)
"""


def processes(folder: str) -> list[str]:
    """List the processes that were started for a folder; a dead one has no arguments left."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def until(number: int, folder: str) -> list[str]:
    """Wait for so many of a folder's processes; give up after a while."""
    for _ in range(300):
        found = processes(folder)
        if len(found) >= number > 0 or len(found) == number:
            break
        time.sleep(0.1)
    return found


@needs_proc
@pytest.mark.parametrize("isolation", LAYERS)
@pytest.mark.parametrize(("moment", "number"), [("starting", 1), ("running", 3)])
def test_a_killed_grader_leaves_nothing(moment: str, number: int, isolation: str) -> None:
    command = [sys.executable, "-c", GRADER, moment, isolation]
    number += 2 * (isolation == "bubblewrap" and moment == "running")  # outside and within
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as grader:
        assert grader.stdout is not None
        folder = grader.stdout.readline().strip()
        assert grader.stdout.readline() == "asked\n"
        assert len(until(number, folder)) >= number
        grader.send_signal(signal.SIGKILL)
    try:
        assert until(0, folder) == []
        assert not os.path.exists(folder)
    finally:
        for left in processes(folder):
            os.kill(int(left), signal.SIGKILL)
