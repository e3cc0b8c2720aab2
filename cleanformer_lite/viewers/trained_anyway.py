"""Loss curves of right and broken modules, recorded: guess which are broken, then reveal."""

import hashlib
import json
from pathlib import Path
from typing import Any

import traitlets

from cleanformer_lite.checks import MISTAKES
from cleanformer_lite.viewers.mount import Viewer, script_of, table

RECORDED = Path(__file__).with_suffix(".json")
RIGHT = {
    "split_heads": "The split module of this book.",
    "looped_heads": "The loop of this book, heads in a ModuleList.",
}
# Eight tests that need no second module to compare with.
TESTS = {
    "parameters_registered": "parameters() finds every layer",
    "parameter_count": "there are as many weights as there should be",
    "calls_agree": "two calls agree",
    "every_weight_moves": "training moves every weight",
    "rows_sum_to_one": "each row of weights sums to 1",
    "permutation_equivariance": "tokens in another order give outputs in that order",
    "causality": "what comes later changes nothing earlier",
    "score_scale": "scores are divided by the root of D",
}


class TrainedAnyway(Viewer):
    """Curves without names, until they are revealed.

    Traits: `runs`, for each module its name, whether it is broken, what is wrong, the properties
        that it fails, and for each task its losses and its accuracy, 0 to 1; `every`, the steps
        from one loss to the next; `setting`, what it was recorded on; `task`; `guesses`, the
        numbers of the runs held to be broken; `revealed`; `sentences`, what each of TESTS asks;
        `tests`, those that the reader runs.

    Raises: ValueError for a task, a run or a test that is not there.
    """

    _esm = script_of("trained_anyway")
    title = "Which of these are broken?"
    shown = ("runs", "every", "setting", "task", "guesses", "revealed", "sentences", "tests")
    runs: Any = traitlets.List().tag(sync=True)
    every = traitlets.Int().tag(sync=True)
    setting = traitlets.Unicode().tag(sync=True)
    task = traitlets.Unicode().tag(sync=True)
    guesses = traitlets.List(traitlets.Int()).tag(sync=True)
    revealed = traitlets.Bool(False).tag(sync=True)
    sentences: Any = traitlets.Dict(default_value=TESTS).tag(sync=True)
    tests = traitlets.List(traitlets.Unicode()).tag(sync=True)

    @traitlets.validate("task")
    def _check_task(self, proposal: dict[str, Any]) -> str:
        tasks = list(self.runs[0]["tasks"])
        if proposal["value"] not in tasks:
            raise ValueError(f"wanted one of the tasks {tasks}, got {proposal['value']!r}")
        return str(proposal["value"])

    @traitlets.validate("guesses")
    def _check_guesses(self, proposal: dict[str, Any]) -> list[int]:
        guesses: list[int] = proposal["value"]
        if not all(0 <= guess < len(self.runs) for guess in guesses):
            raise ValueError(f"wanted runs from 0 to {len(self.runs) - 1}, got {guesses}")
        return guesses

    @traitlets.validate("tests")
    def _check_tests(self, proposal: dict[str, Any]) -> list[str]:
        tests: list[str] = proposal["value"]
        if not set(tests) <= set(TESTS):
            raise ValueError(f"wanted tests of {list(TESTS)}, got {tests}")
        return tests

    def static(self) -> str:
        lines = [
            [
                run["name"].replace("_", " "),
                "broken" if run["broken"] else "right",
                *(f"{result['losses'][-1]:.2f}" for result in run["tasks"].values()),
                ", ".join(TESTS[test] for test in TESTS if test in run["caught"]),
            ]
            for run in self.runs
        ]
        losses = [f"last loss, {task}" for task in self.runs[0]["tasks"]]
        columns = ["module", "it is", *losses, "what it fails"]
        return table(f"Did it train anyway? {self.setting}", columns, lines)


def _what_is_wrong(name: str) -> str:
    """Say of a module what the checks say of it, or that it is right."""
    if name in RIGHT:
        return RIGHT[name]
    cause = MISTAKES[name].cause.replace("`", "")
    return f"{cause[0].upper()}{cause[1:]}."


def guess_the_broken() -> TrainedAnyway:
    """Show recorded loss curves of right and broken modules, in an order that gives nothing away.

    Source: recorded by tools/record_losses.py.
    """
    recorded = json.loads(RECORDED.read_text(encoding="utf8"))
    runs = [{**run, "what": _what_is_wrong(run["name"])} for run in recorded["runs"]]
    runs.sort(key=lambda run: hashlib.sha256(run["name"].encode()).hexdigest())
    return TrainedAnyway(
        runs=runs,
        every=recorded["every"],
        setting=recorded["setting"],
        task=next(iter(recorded["tasks"])),
    )
