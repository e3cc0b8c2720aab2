"""What is right in a notebook is right when it is graded; what rests on a mistake says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.paper import grade_file
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.submissions import Submission
from cleanformer_lite.checks.grading.wire import encode
from cleanformer_lite.checks.observations import CaseOutcome, FunctionObservations, Raised
from tests.grading.handed_in import MERGE, RIGHT, WRONG, notebook
from tests.grading.running import grade, graded

SPLIT = "split_heads.split"
RIGHT_SPLIT = """
def split_heads(x, num_heads):
    batch, length, width = x.shape
    return x.reshape(batch, length, num_heads, width // num_heads).transpose(1, 2)
"""
MERGE_BODY = "x.transpose(1, 2).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])"
IN_A_NOTEBOOK = {
    "registering decorator": f"""
STEPS = {{}}
def step(function):
    STEPS[function.__name__] = function
    return function
@step
def turn(x): return {MERGE_BODY}
def merge_heads(x): return STEPS["turn"](x)
""",
    "registry with a method": f"""
class Registry(dict):
    def add(self, function):
        self[function.__name__] = function
        return function
steps = Registry()
@steps.add
def turn(x): return {MERGE_BODY}
def merge_heads(x): return steps["turn"](x)
""",
    "setattr on a class": f"""
class Merger:
    pass
setattr(Merger, "__call__", lambda self, x: {MERGE_BODY})
merge_heads = Merger()
""",
    "a function that mends a class": f"""
class Merger:
    def __call__(self, x): return x
def mend(cls):
    cls.__call__ = lambda self, x: {MERGE_BODY}
mend(Merger)
merge_heads = Merger()
""",
    "main guard": f"""
merge_heads = None
if __name__ == "__main__":
    def merge_heads(x): return {MERGE_BODY}
""",
    "exec": f"""
exec("def merge_heads(x): return {MERGE_BODY}")
""",
    "globals": f"""
globals()["merge_heads"] = lambda x: {MERGE_BODY}
""",
    "global in a function": f"""
def define():
    global merge_heads
    def merge_heads(x): return {MERGE_BODY}
define()
""",
    "timed": f"""
%time scale = 1
%matplotlib inline
def merge_heads(x): return {MERGE_BODY} * scale
""",
    "source that is compiled again": f"""
import torch
@torch.jit.script
def merge_heads(x: torch.Tensor) -> torch.Tensor:
    return {MERGE_BODY}
""",
    "a class that registers those built on it": f"""
class Merger:
    kinds = {{}}
    def __init_subclass__(cls): Merger.kinds[cls.__name__] = cls

class Turned(Merger):
    def __call__(self, x): return {MERGE_BODY}

merge_heads = Merger.kinds["Turned"]()
""",
    "a method for a type": f"""
from functools import singledispatch
import torch
@singledispatch
def merge_heads(x): raise TypeError
@merge_heads.register
def _(x: torch.Tensor): return {MERGE_BODY}
""",
    "cell magics": f"""
%%capture shown
import math

%%time
def merge_heads(x): return {MERGE_BODY} * math.floor(scale)

!pip install nothing
scale = 1.5
files = !ls
merge_heads?
get_ipython().run_line_magic("matplotlib", "inline")
""",
    "await": f"""
import asyncio
await asyncio.sleep(0)
async def read(): return 1
scale = await read()
def merge_heads(x): return {MERGE_BODY} * scale
""",
    "a name that holds a class": f"""
from dataclasses import dataclass
@dataclass
class Merger:
    name: str = "merger"
    def __call__(self, x): return {MERGE_BODY}
merge_heads = Merger()
""",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", IN_A_NOTEBOOK)
def test_right_in_the_notebook_is_right_when_graded(runner: Runner, how: str) -> None:
    cells = ["import time\ntime.sleep(0)", *IN_A_NOTEBOOK[how].strip().split("\n\n")]
    result = graded(runner, notebook(*cells), "a.ipynb")
    assert (result.status, result.points) == ("passed", 2), result.card


def test_a_notebook_is_not_run_whole_for_a_wrong_answer(runner: Runner) -> None:
    """Training, timing and checks cannot change it: they are not run again."""
    text = f"""
from cleanformer_lite import check
import torch
{WRONG}
check("split_heads.merge", merge_heads)
print(merge_heads)
def train(steps):
    while True:
        pass
train(3)
torch.manual_seed(1)
"""
    result = graded(runner, text)
    assert (result.status, result.species) == ("failed", ("merge_without_transpose",))


def test_a_file_that_trains_for_long_leaves_an_answer_its_own_reason(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "limits", replace(runner.limits, seconds=1))
    text = "merge_heads = None\nexec('while True: pass')"
    result = graded(runner, text)
    assert (result.status, result.points) != ("timeout", 0)
    assert result.notes[-1] == "the whole file was run, too, and did not end in time"


WRONG_SPLIT = RIGHT_SPLIT.replace(".transpose(1, 2)", "")
RESTS = f"""
def merge_heads(x):
    assert split_heads(torch.zeros(2, 3, 4), 2).shape == (2, 2, 3, 2)
    return {MERGE_BODY}
"""
RIGHT_BUT_FOR = f"this answer is right: it fails only because your answer to {SPLIT} does"
RESTS_ON = f"it depends on your answer to {SPLIT}, which does not pass"


@pytest.mark.parametrize(
    ("split", "merge", "passed", "notes"),
    [
        (WRONG_SPLIT, RESTS, False, (RIGHT_BUT_FOR, f"{RESTS_ON}: fix that one first")),
        (
            *(WRONG_SPLIT, RESTS.replace(".transpose(1, 2)", ""), False),
            (f"{RESTS_ON}: fix that one first",),
        ),
        (WRONG_SPLIT, RESTS.replace("assert", "unused = lambda:"), True, (RESTS_ON,)),
        (RIGHT_SPLIT, RESTS, True, ()),
        (RIGHT_SPLIT, RESTS.replace(".transpose(1, 2)", ""), False, ()),
    ],
)
def test_an_answer_that_rests_on_a_wrong_one_says_so(
    runner: Runner, split: str, merge: str, passed: bool, notes: tuple[str, ...]
) -> None:
    submission = Submission("a.py", f"import torch\n{split}{merge}".encode())
    below, above = grade_file(runner, submission, [SPLIT, MERGE])
    assert (below.passed, below.notes) == (split == RIGHT_SPLIT, ())
    assert (above.passed, above.notes) == (passed, notes)


def test_partial_credit_is_the_share_of_properties_that_hold(
    tmp_path: Path, runner: Runner
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.py").write_text(WRONG)
    (whole,) = grade(tmp_path / "in", tmp_path / "out", runner).results
    (part,) = grade(tmp_path / "in", tmp_path / "out", runner, partial=True).results
    properties = EXERCISES[MERGE].properties
    assert 0 < len(whole.failed) < len(properties)
    assert whole.points == 0
    assert part.points == pytest.approx(2 * (1 - len(whole.failed) / len(properties)), abs=0.01)


def test_what_mentions_the_package_or_is_another_s_is_flagged(
    tmp_path: Path, runner: Runner
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    cheat = "import sys\n\ndef merge_heads(x):\n    sys.modules['cleanformer_lite']\n"
    (folder / "cheat.py").write_text(cheat + f"    return {MERGE_BODY}\n")
    long = RIGHT.replace(
        "    return", '    "' + "words that nobody else would write " * 6 + '"\n    return'
    )
    (folder / "one.py").write_text(long)
    (folder / "two.py").write_text("import torch\n" + long)
    (folder / "three.py").write_text(RIGHT)
    flags = {r.submission: r.flags for r in grade(folder, tmp_path / "out", runner).results}
    assert flags == {
        "cheat.py": ("mentions cleanformer_lite", "mentions sys.modules"),
        "one.py": ("same code as two.py",),
        "two.py": ("same code as one.py",),
        "three.py": (),
    }


def test_the_judge_has_limits_of_its_own(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = runner.read(Submission("a.py", RIGHT.encode()), [MERGE])["answers"][MERGE]
    good = runner.run(MERGE, answer["code"], 1)
    assert runner._judged([good] * 40, seconds=0.001) is None
    monkeypatch.setattr(runner, "_judged", lambda attempts, seconds: None)
    results = runner.judge([good, good])
    assert [(result.status, result.points) for result in results] == [("refused", 0)] * 2
    assert "to judge" in results[0].message
    monkeypatch.undo()
    assert runner.judge([good, good])[1].passed


@pytest.mark.parametrize("text", ["a b " * 3_900_000, "[" * 15_000_000], ids=["words", "lists"])
def test_what_is_made_to_slow_the_judge_takes_no_points_and_no_other_answer(
    runner: Runner, text: str
) -> None:
    answer = runner.read(Submission("a.py", RIGHT.encode()), [MERGE])["answers"][MERGE]
    good = runner.run(MERGE, answer["code"], 1)
    forged = encode(
        {"outcome": "observed", "nonce": good.nonce},
        FunctionObservations(
            {
                "tiny": CaseOutcome(error=Raised(text)),
                "tiny_wide": CaseOutcome(error=Raised(text[:10])),
                "large": CaseOutcome(error=Raised(text[:10])),
            }
        ),
        Limits().result,
    )
    results = runner.judge([replace(good, frame=forged), good])
    assert [result.points for result in results] == [0, 2]
    assert len(results[0].card) < 2000


def test_a_wide_result_does_not_end_the_judge(runner: Runner) -> None:
    nested = "[" * 200 + "]" * 200
    wide = f"""
import torch
def merge_heads(x):
    return [torch.zeros(1)] * 100_000 + {nested}
"""
    result = graded(runner, wide)
    assert result.points == 0
    assert graded(runner, RIGHT).passed
