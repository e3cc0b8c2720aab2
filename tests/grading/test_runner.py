"""How answers are run: apart from each other, as often as asked, whatever became of the last."""

import os
import signal

import pytest

from cleanformer_lite.checks import EXERCISES, NoAnswer, judge
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.result import understand
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.slots import SlotLostError
from cleanformer_lite.checks.grading.wire import encode
from cleanformer_lite.checks.observations import WrongKind, texts
from tests.grading.handed_in import MERGE, RIGHT
from tests.grading.running import graded, observed


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_right_answer_passes_with_any_seed(runner: Runner, seed: int) -> None:
    seen = observed(runner, RIGHT, seed)
    assert judge(EXERCISES[MERGE], seen.observations, seed).passed


def test_observations_of_one_seed_do_not_pass_for_another(runner: Runner) -> None:
    seen = observed(runner, RIGHT, 1)
    assert not judge(EXERCISES[MERGE], seen.observations, 2).passed


def test_answers_do_not_see_each_other(runner: Runner) -> None:
    leaves = "import torch\ntorch.left_behind = 1\ndef merge_heads(x): return x + torch.left_behind"
    looks = "import torch\ndef merge_heads(x): return x + torch.left_behind"
    assert observed(runner, leaves).status == "observed"
    seen = observed(runner, looks)
    assert any("left_behind" in text for text in texts(seen.observations))


def test_answer_that_is_too_large_for_a_pipe_is_run(runner: Runner) -> None:
    large = RIGHT + "    '" + "x" * 5_000_000 + "'\n"
    assert observed(runner, large).status == "observed"


def test_statements_that_raise_are_noted_and_stop_nothing(runner: Runner) -> None:
    text = f"import nowhere\nnowhere.merge = 1\n{RIGHT}\nmerge_heads.extra = nowhere\n"
    row = graded(runner, text)
    assert row.passed
    assert row.notes[0] == "line 1: ModuleNotFoundError: No module named 'nowhere'"


def test_a_name_defined_by_a_statement_that_raises_says_so(runner: Runner) -> None:
    text = "import nowhere\nmerge_heads = nowhere.merge_heads\n"
    row = graded(runner, text)
    assert (row.status, row.message) == (
        "crashed",
        "line 1: ModuleNotFoundError: No module named 'nowhere'",
    )


def test_the_same_place_works_after_its_processes_were_killed() -> None:
    with Runner(Limits(seconds=5)) as runner:
        assert observed(runner, RIGHT).status == "observed"
        assert runner.warm.process is not None
        os.kill(runner.warm.process.pid, signal.SIGKILL)
        runner.slots[0].restart()
        assert observed(runner, RIGHT).status == "observed"


def test_a_closed_runner_runs_nothing() -> None:
    runner = Runner(Limits(seconds=5))
    runner.close()
    with pytest.raises(SlotLostError):
        observed(runner, RIGHT)


NORMAL = {"exit": 0, "in_time": True, "seconds": 1.0, "cpu_seconds": 1.0, "peak_kib": 1}
GOOD = encode({"outcome": "observed", "nonce": "n", "notes": ["x"]}, WrongKind("int"), 10_000)


@pytest.mark.parametrize(
    ("frame", "ended", "status"),
    [
        (GOOD, {}, "observed"),
        (GOOD, {"in_time": False, "exit": -9}, "timeout"),
        (GOOD, {"exit": -signal.SIGXCPU}, "timeout"),
        (GOOD, {"exit": -signal.SIGKILL}, "memory"),
        (GOOD, {"exit": -signal.SIGSEGV}, "crashed"),
        (b"", {}, "crashed"),
        (None, {}, "refused"),
        (GOOD + GOOD, {}, "refused"),
        (GOOD[:-1], {}, "refused"),
        (encode({"outcome": "observed", "nonce": "other"}, NoAnswer(), 10_000), {}, "refused"),
        (encode({"outcome": ["observed"], "nonce": "n"}, NoAnswer(), 10_000), {}, "crashed"),
        (
            encode({"outcome": "raised", "error": "MemoryError", "nonce": "n"}, NoAnswer(), 999),
            {},
            "memory",
        ),
        (
            encode({"outcome": "missing", "notes": 3, "nonce": "n"}, NoAnswer(), 10_000),
            {},
            "missing",
        ),
    ],
)
def test_what_comes_back_is_understand(
    frame: bytes | None, ended: dict[str, object], status: str
) -> None:
    assert understand(frame, {**NORMAL, **ended}, "n").status == status


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"memory": 1}])
def test_limits_make_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="limit"):
        Limits(**wrong)
