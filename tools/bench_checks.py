"""Time `check` on every exercise that has a shipped solution: a right answer, and a known mistake.

"first" is the first check of a fresh process, after the import; "warm" is the median of those that
follow, on the clock; "cpu" is the processor's share of that, and "own" what of it the answer itself
takes to be built and called (without gradients): no check can be faster. All in milliseconds. The
mistake is the slowest of those that are named. A busy machine is slow on the clock first.
"""

import argparse
import datetime
import functools
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import nn  # noqa: E402
from write_mistakes import mistake_modules  # noqa: E402

from cleanformer_lite import check  # noqa: E402
from cleanformer_lite.checks import EXERCISES, Exercise  # noqa: E402
from cleanformer_lite.checks.engine.function_probe import FunctionProbe  # noqa: E402
from cleanformer_lite.checks.engine.module_probe import ModuleProbe  # noqa: E402
from cleanformer_lite.timing.units import name_device  # noqa: E402

RIGHT = "right"
COLUMNS = ("first", "warm", "cpu", "own")
Times = dict[str, Any]


def main() -> None:
    """Print the table, or time one answer for the process that prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "exercises", nargs="*", metavar="EXERCISE", help="these only (default: all)"
    )
    parser.add_argument("--repeats", type=int, default=20, help="warm checks, 20 if not given")
    parser.add_argument("--answer", help=argparse.SUPPRESS)  # what a child process is to time
    given = parser.parse_args()
    strange = [name for name in given.exercises if name not in EXERCISES]
    if strange:
        parser.error(f"wanted some of {', '.join(EXERCISES)}, got {', '.join(strange)}")
    if given.answer is not None:
        print(json.dumps(timed(EXERCISES[given.exercises[0]], given.answer, given.repeats)))
        return
    print(birth())
    print(f"{'exercise':28}{'answer':26}" + "".join(f"{column:>8}" for column in COLUMNS))
    for name in given.exercises or EXERCISES:
        for row in rows(EXERCISES[name], given.repeats):
            print(row, flush=True)


def birth() -> str:
    """Say what the numbers were measured on."""
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} processors"
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    today = datetime.date.today().isoformat()
    return (
        f"{name_device(torch.device('cpu'))}, {threads}, {load}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, {today}; milliseconds"
    )


def rows(exercise: Exercise, repeats: int) -> Iterator[str]:
    """Time an exercise's answers, each in a process of its own."""
    if solution(exercise) is None:
        yield f"{exercise.id:28}no shipped solution"
        return
    for answer in (RIGHT, slowest(exercise)):
        if answer is None:
            yield f"{exercise.id:28}no known mistake"
            continue
        command = [sys.executable, __file__, exercise.id, "--answer", answer]
        done = subprocess.run(
            [*command, "--repeats", str(repeats)], capture_output=True, text=True, check=True
        )
        times = json.loads(done.stdout)
        numbers = "".join(f"{times[column]:8.1f}" for column in COLUMNS)
        yield f"{exercise.id:28}{answer:26}{numbers}"


def timed(exercise: Exercise, name: str, repeats: int) -> Times:
    """Time the first check of this process, and the ones after it."""
    answer = solution(exercise) if name == RIGHT else mistakes(exercise)[name]
    first, _ = once(exercise, answer)
    warm = [once(exercise, answer) for _ in range(repeats)]
    wall, cpu = (statistics.median(times) for times in zip(*warm, strict=True))
    spent: list[float] = []
    once(exercise, watched(answer, spent))
    return {"first": first, "warm": wall, "cpu": cpu, "own": 1e3 * sum(spent)}


def watched(answer: Any, spent: list[float]) -> Any:
    """Return the answer with a stopwatch in it, which writes down seconds of the processor."""

    def stopped(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*given: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*given, **named)
            finally:
                spent.append(time.process_time() - began)

        return run

    if not isinstance(answer, type):
        return stopped(answer)
    timed = {"__init__": stopped(answer.__init__), "forward": stopped(answer.forward)}  # type: ignore[attr-defined, misc]
    return type(answer.__name__, (answer,), timed)


def once(exercise: Exercise, answer: Any) -> tuple[float, float]:
    """Return the milliseconds of one check and its card, on the clock and of the processor."""
    began, used = time.perf_counter(), time.process_time()
    str(check(exercise.id, answer))
    return 1e3 * (time.perf_counter() - began), 1e3 * (time.process_time() - used)


def slowest(exercise: Exercise) -> str | None:
    """Name the mistake whose diagnosis takes longest; none if the exercise names none."""
    took = {}
    for name, answer in mistakes(exercise).items():
        if check(exercise.id, answer).species:
            took[name] = min(once(exercise, answer)[1] for _ in range(3))
    return max(took, key=lambda name: took[name], default=None)


def solution(exercise: Exercise) -> Any:
    """Return the answer that the book prints, None if there is none."""
    path = ROOT / "book" / "solutions" / f"{exercise.chapter}.py"
    spec = importlib.util.spec_from_file_location(f"solutions_{exercise.chapter}", path)
    if not path.exists() or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, exercise.entry_point, None)


def mistakes(exercise: Exercise) -> dict[str, Any]:
    """Return wrong answers by the name of their mistake."""
    probe = exercise.probe
    if isinstance(probe, FunctionProbe):
        return {species: variants[0] for species, variants in probe.mistakes.items()}
    if not isinstance(probe, ModuleProbe):
        return {}
    modules = {species: variants[0] for species, variants in mistake_modules().items()}
    if probe.contract.weights:
        return dict(modules)
    return {species: output_alone(module) for species, module in modules.items()}


def output_alone(module: type[nn.Module]) -> type[nn.Module]:
    """Let a module return its output alone."""
    forward: Callable[..., Any] = module.forward

    def first(self: nn.Module, x: Any) -> Any:
        return forward(self, x)[0]

    return type(module.__name__, (module,), {"forward": first})


if __name__ == "__main__":
    main()
