"""Nothing that an answer does reaches the session: escapes, floods, settings."""

import asyncio
import os
import random
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

import cleanformer_lite
from cleanformer_lite.checks import EXERCISES, check
from cleanformer_lite.checks.session import MOST_OUTPUT, kept

SOLUTIONS = Path(__file__).parents[2] / "book" / "solutions"


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class BadEval(cleanformer_lite.SplitMultiHeadAttention):
    def eval(self) -> Any:
        raise ValueError("no eval")


class BadParameters(cleanformer_lite.SplitMultiHeadAttention):
    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        raise ValueError("no parameters")


@pytest.mark.parametrize(
    "error",
    [
        GeneratorExit(),
        BaseException("odd"),
        asyncio.CancelledError(),
        SystemExit(3),
        UnprintableError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nothing_escapes(error: BaseException) -> None:
    def raises(x: Tensor) -> Tensor:
        raise error

    report = check("split_heads.merge", raises)
    assert report.status == "crashed"
    assert type(error).__name__ in str(report)


@pytest.mark.parametrize("module", [BadEval, BadParameters])
def test_methods_that_raise_give_a_card(module: type[nn.Module]) -> None:
    report = check("split_heads.module", module)
    assert report.status == "crashed"
    assert "ValueError: no" in str(report)


def test_an_interrupt_by_the_reader_is_none_of_ours() -> None:
    def interrupted(x: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("split_heads.merge", interrupted)


def test_a_flood_is_capped_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    def floods(x: Tensor) -> Tensor:
        print("word " * 10**6)
        return cleanformer_lite.merge_heads(x)

    assert check("split_heads.merge", floods).passed
    printed = capsys.readouterr().out
    assert "printed more than" in printed
    assert len(printed) < MOST_OUTPUT + 200


class Mode(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


_ENTERED: list[Any] = []  # a mode that nobody holds may leave by itself


def _enter(mode: Any) -> None:
    _ENTERED.append(mode)
    mode.__enter__()


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "dtype": (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    "device": (lambda: torch.empty(0).device, lambda: torch.set_default_device("meta")),
    "threads": (torch.get_num_threads, lambda: torch.set_num_threads(2)),
    "anomaly": (torch.is_anomaly_enabled, lambda: torch.set_anomaly_enabled(True)),
    "matmul": (
        torch.get_float32_matmul_precision,
        lambda: torch.set_float32_matmul_precision("medium"),
    ),
    "printing": (lambda: str(torch.tensor(1 / 3)), lambda: torch.set_printoptions(precision=2)),
    "recursion": (sys.getrecursionlimit, lambda: sys.setrecursionlimit(5000)),
    "folder": (os.getcwd, lambda: os.chdir("/")),
    "python": (random.getstate, lambda: random.seed(3)),
    "torch": (lambda: torch.default_generator.get_state().sum().item(), lambda: torch.rand(3)),
    "warnings": (lambda: list(warnings.filters), lambda: warnings.simplefilter("ignore")),
    "stdout": (lambda: sys.stdout, lambda: setattr(sys, "stdout", None)),
    "device context": (
        lambda: getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None),
        lambda: torch.set_default_device("meta"),
    ),
    "modes": (lambda: len(_get_current_function_mode_stack()), lambda: _enter(Mode())),
    "deterministic": (
        torch.are_deterministic_algorithms_enabled,
        lambda: torch.use_deterministic_algorithms(True),
    ),
    "deterministic warnings": (
        torch.is_deterministic_algorithms_warn_only_enabled,
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    ),
    "numpy": (lambda: np.random.get_state()[1].tolist(), lambda: np.random.seed(11)),  # type: ignore[index]
    "numpy position": (lambda: np.random.get_state()[2], lambda: np.random.rand(3)),  # type: ignore[index]
    "stderr": (lambda: sys.stderr, lambda: setattr(sys, "stderr", None)),
    "line width": (lambda: _printed_lines(), lambda: torch.set_printoptions(linewidth=20)),
    "gradients": (torch.is_grad_enabled, lambda: torch.set_grad_enabled(False)),
    "inference": (torch.is_inference_mode_enabled, lambda: _enter(torch.inference_mode())),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), lambda: _enter(torch.autocast("cpu"))),
}


def _printed_lines() -> int:
    return len(str(torch.arange(40)).splitlines())


@pytest.mark.parametrize("name", CHANGES)
def test_what_an_answer_changes_is_put_back(name: str, tmp_path: Path) -> None:
    read, change = CHANGES[name]
    before = read()

    def changes(x: Tensor) -> Tensor:
        change()
        return x

    try:
        check("split_heads.merge", changes)
        assert read() == before
    finally:  # what a fault leaves behind must not spoil other tests
        torch.use_deterministic_algorithms(False)
        torch.set_grad_enabled(True)


@pytest.mark.parametrize(
    "exercise_id", ["transformer.greedy", "split_heads.merge", "single_head.mask"]
)
def test_what_one_call_changes_does_not_reach_the_next(exercise_id: str) -> None:
    known = EXERCISES[exercise_id]
    right = runpy.run_path(str(SOLUTIONS / f"{known.chapter}.py"))[known.entry_point]

    def changes(*arguments: Any) -> Any:
        result = right(*arguments)
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float64)
        return result

    report = check(exercise_id, changes)
    assert report.passed, report


@pytest.mark.parametrize("setting", ["float64", "inference", "autocast", "no_grad"])
def test_a_session_of_any_setting_gets_the_same_result(setting: str) -> None:
    around: dict[str, Any] = {
        "inference": torch.inference_mode,
        "autocast": lambda: torch.autocast("cpu"),
        "no_grad": torch.no_grad,
    }
    if setting == "float64":
        torch.set_default_dtype(torch.float64)
        try:
            report = check("split_heads.merge", cleanformer_lite.merge_heads)
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        with around[setting]():
            report = check("split_heads.merge", cleanformer_lite.merge_heads)
    assert report.passed, report


def test_one_thread_while_probing() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with kept(3):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


WITHOUT_UNIX = """
import importlib.abc
import signal
import sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("resource", "fcntl", "pwd", "grp", "termios"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
for name in ("setitimer", "SIGALRM", "ITIMER_REAL", "getitimer"):
    delattr(signal, name)
import cleanformer_lite
from cleanformer_lite.checks import check, hint
right = check("split_heads.merge", cleanformer_lite.merge_heads)
wrong = check("split_heads.merge", lambda x: x.reshape(len(x), x.shape[2], -1))
print(right)
print("---")
print(wrong)
print(hint("split_heads.merge"))
"""


def test_a_system_without_unix_modules_checks_and_says_once_what_it_cannot_stop() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_UNIX], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("---")
    assert "passed" in first
    assert "no time limit" in first
    assert "restart it" in first
    assert "time limit" not in rest
    assert "Known mistake merge_without_transpose" in rest
    assert "Hint 1 of 3" in rest


def test_here_there_is_a_limit_and_nothing_to_say() -> None:
    assert "limit" not in str(check("split_heads.merge", cleanformer_lite.merge_heads))
