"""What learners, and some who are not, hand in: text of answers for `split_heads.merge`."""

import json

RIGHT = """
def merge_heads(x):
    batch, heads, length, width = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * width)
"""
WRONG = """
def merge_heads(x):
    batch, heads, length, width = x.shape
    return x.reshape(batch, length, heads * width)
"""
ENDLESS = """
def merge_heads(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""
LONG_TORCH_CALL = """
import torch
def merge_heads(x):
    a = torch.rand(4_000, 4_000)
    return torch.linalg.svd(a)
"""
EXITS = """
import os
def merge_heads(x):
    os._exit(0)
"""
SYS_EXITS = """
import sys
def merge_heads(x):
    sys.exit(0)
"""
TAKES_6_GIB = """
import torch
def merge_heads(x):
    return torch.ones(6 * 2**30, dtype=torch.uint8)
"""
TAKES_6_GIB_OF_BYTES = """
def merge_heads(x):
    return b"x" * (6 * 2**30)
"""
PRINTS = """
def merge_heads(x):
    while True:
        print("x" * 10_000)
"""
FORKS = """
import os
def merge_heads(x):
    while True:
        os.fork()
"""
PATCHES_TORCH = f"""
import torch
torch.allclose = torch.equal = torch.Tensor.equal = lambda *a, **k: True
torch.Tensor.__eq__ = torch.eq = lambda *a, **k: torch.ones(1, dtype=torch.bool)
{WRONG}
merge_heads.__globals__["torch"] = torch
torch.merge = merge_heads
merge_heads = torch.merge
"""
PATCHES_CHECKS = f"""
import torch
import cleanformer_lite.checks as checks
import cleanformer_lite.checks.exercise as exercise
import cleanformer_lite.checks.report as report
import cleanformer_lite.checks.grading.wire as wire
passed = lambda *a, **k: report.Report("split_heads.merge", "passed", 2, 2)
checks.judge = exercise.judge = checks.observe = exercise.observe = passed
report.Report.passed = True
wire.encode = lambda *a, **k: b""
torch.allclose = torch.equal = lambda *a, **k: True
{WRONG}
merge_heads.patched = (checks, exercise, report, wire, torch)
"""
WRITES_EVERYWHERE = """
import os
from cleanformer_lite.checks.grading.wire import encode
from cleanformer_lite.checks.observations import CaseOutcome, FunctionObservations
def merge_heads(x):
    message = {"outcome": "observed", "status": "passed", "points": 2, "nonce": "0" * 32}
    frame = encode(message, FunctionObservations(), 10**6)
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, frame)
        except OSError:
            pass
    os._exit(0)
"""
STEALS_THE_NONCE = """
import os, sys
from cleanformer_lite.checks.grading.wire import encode
from cleanformer_lite.checks.observations import CaseOutcome, FunctionObservations
def merge_heads(x):
    frame = sys._getframe()
    while "task" not in frame.f_locals:
        frame = frame.f_back
    message = {"outcome": "observed", "passed": True, "nonce": frame.f_locals["task"]["nonce"]}
    forged = encode(message, FunctionObservations({"passed": CaseOutcome(True)}), 10**6)
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, forged)
        except OSError:
            pass
    os._exit(0)
"""
SENDS_A_PICKLE = """
import os, pickle
class Bomb:
    def __reduce__(self):
        return os._exit, (0,)
def merge_heads(x):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, pickle.dumps(Bomb()))
        except OSError:
            pass
    os._exit(0)
"""
FLOODS_THE_RESULT = """
import os
def merge_heads(x):
    while True:
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, b"x" * 2**20)
            except OSError:
                pass
"""
KILLS_ITS_KEEPER = """
import os, signal
def merge_heads(x):
    os.kill(os.getppid(), signal.SIGKILL)
"""
KILLS_EVERYONE = """
import os, signal
def merge_heads(x):
    os.kill(-1, signal.SIGKILL)
"""
CLOSES_EVERYTHING = """
import os
def merge_heads(x):
    os.closerange(0, 256)
    return x
"""
DIGS_DEEP = """
import os
def merge_heads(x):
    for _ in range(400):  # in every call, so that it gets deeper each time
        os.mkdir("d")
        os.chdir("d")
    return x
"""
FILLS_ITS_FOLDER = """
import os
def merge_heads(x):
    for i in range(200):
        os.symlink("/" + "a" * 4000, f"link-{os.getpid()}-{i}-{x.numel()}")
    os.makedirs(f"locked-{x.numel()}/inner")
    os.symlink("/", f"locked-{x.numel()}/root")
    os.chmod(f"locked-{x.numel()}", 0)
    return x
"""
STARTS_THREADS = """
import threading, time
def merge_heads(x):
    for _ in range(2000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return x
"""
STOPS_ITSELF = """
import os, signal
def merge_heads(x):
    os.kill(os.getpid(), signal.SIGSTOP)
"""
WAITS_FOR_ITS_KEEPERS_END = """
import ctypes, os, time
def merge_heads(x):
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    try:
        os.kill(os.getppid(), 9)
    except OSError:
        pass
    time.sleep(60)
"""
SENDS_ODD_SIZES = """
import json, os, struct, sys
def merge_heads(x):
    frame = sys._getframe()
    while "task" not in frame.f_locals:
        frame = frame.f_back
    message = {"outcome": "observed", "nonce": frame.f_locals["task"]["nonce"]}
    told = json.dumps({"message": message, "observed": {"tensor": "a"}, "double": []}).encode()
    tensors = {
        "header": {"dtype": "U8", "shape": [len(told)], "data_offsets": [0, len(told)]},
        "a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [len(told), len(told)]},
    }
    header = json.dumps(tensors).encode()
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, struct.pack("<Q", len(header)) + header + told)
        except OSError:
            pass
    os._exit(0)
"""
SYNTAX_ERROR = "def merge_heads(x:\n    return x\n"
NOTHING = "def something_else():\n    return 1\n"


def notebook(*cells: str) -> str:
    """Return the JSON of a notebook with these code cells."""
    return json.dumps(
        {
            "cells": [
                {"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells
            ],
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {},
        }
    )


MERGE = "split_heads.merge"
# What it is handed in as, its content, and how it may end.
ATTACKS: dict[str, tuple[str | bytes, str]] = {
    "endless.py": (ENDLESS, "timeout"),
    "long_torch_call.py": (LONG_TORCH_CALL, "timeout"),
    "exits.py": (EXITS, "crashed"),
    "sys_exits.py": (SYS_EXITS, "crashed"),
    "takes_6_gib.py": (TAKES_6_GIB, "memory"),
    "takes_6_gib_of_bytes.py": (TAKES_6_GIB_OF_BYTES, "memory"),
    "prints.py": (PRINTS, "timeout"),
    "forks.py": (FORKS, "crashed"),
    "patches_torch.py": (PATCHES_TORCH, "failed"),
    "patches_checks.py": (PATCHES_CHECKS, "failed"),
    "writes_everywhere.py": (WRITES_EVERYWHERE, "refused"),
    "steals_the_nonce.py": (STEALS_THE_NONCE, "failed"),
    "sends_a_pickle.py": (SENDS_A_PICKLE, "refused"),
    "floods_the_result.py": (FLOODS_THE_RESULT, "timeout refused"),
    "kills_its_keeper.py": (KILLS_ITS_KEEPER, "crashed"),
    "kills_everyone.py": (KILLS_EVERYONE, "crashed failed missing"),
    "closes_everything.py": (CLOSES_EVERYTHING, "crashed"),
    "digs_deep.py": (DIGS_DEEP, "failed timeout"),
    "fills_its_folder.py": (FILLS_ITS_FOLDER, "crashed failed timeout"),
    "starts_threads.py": (STARTS_THREADS, "crashed"),
    "stops_itself.py": (STOPS_ITSELF, "timeout"),
    "waits_for_its_keepers_end.py": (WAITS_FOR_ITS_KEEPERS_END, "timeout crashed"),
    "sends_odd_sizes.py": (SENDS_ODD_SIZES, "refused"),
    "syntax_error.py": (SYNTAX_ERROR, "crashed"),
    "syntax_error.ipynb": (notebook("import torch", SYNTAX_ERROR), "crashed"),
    "nothing.py": (NOTHING, "missing"),
    "empty.py": ("", "missing"),
    "latin.py": (b"# caf\xe9\n" + RIGHT.encode(), "unreadable"),
    "no_json.ipynb": ('{"cells": [', "unreadable"),
    "not_a_notebook.ipynb": ("[1, 2, 3]", "unreadable"),
    "deep.ipynb": ("[" * 100_000, "unreadable"),
}
