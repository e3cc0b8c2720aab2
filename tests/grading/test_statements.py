"""Only what an answer needs is run, and a statement that raises stops no other."""

from pathlib import Path

import pytest

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.jobs import notebook_cells
from cleanformer_lite.checks.grading.slicing import hides_something, needed
from cleanformer_lite.checks.grading.statements import parse


def kept(text: str, name: str = "answer") -> list[str]:
    """Return the lines of a file that an answer needs."""
    statements, broken = parse([("", text)])
    assert not broken
    lines = text.splitlines()
    return [lines[s.piece.line - 1] for s in needed(statements, name)]


PAGES = sorted((Path(__file__).parents[2] / "book").glob("*.ipynb"))


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_no_page_is_run_whole(page: Path) -> None:
    """What learners hand in is a chapter with their answers in it: it trains for minutes."""
    statements, broken = parse(notebook_cells(page.read_text(encoding="utf-8")))
    assert not broken
    for exercise in EXERCISES.values():
        found = needed(statements, exercise.entry_point)
        assert not hides_something(statements, found, exercise.entry_point), exercise.id


@pytest.mark.parametrize(
    ("line", "hides"),
    [
        ("show(globals())", False),  # a function of ours, which shows what there is
        ("theirs(globals())", True),
        ("globals().update(answer=2)", True),
        ("globals()['answer'] = 2", True),
        ("show(eval('2'))", True),
        ("theirs(answer)", True),
        ("theirs(other)", False),
        ("show(answer)", False),
    ],
)
def test_what_may_change_an_answer_unseen(line: str, hides: bool) -> None:
    text = "from cleanformer_lite.viewers import show\ndef answer(): return 1\nother = 1\n"
    statements, _ = parse([("", text + line)])
    assert hides_something(statements, needed(statements, "answer"), "answer") == hides


def test_nothing_that_is_handed_on_can_change_an_answer_that_is_nowhere() -> None:
    statements, _ = parse(
        [("", "def theirs(answer): answer.x = 1\nfor answer in []: theirs(answer)")]
    )
    assert not hides_something(statements, [], "answer")


def test_what_an_answer_rests_on_is_kept_in_order() -> None:
    text = """import math
import torch
SCALE = math.sqrt(4)
unrelated = torch.zeros(3)
def helper(x): return x * SCALE
def answer(x): return helper(x)
def other(x): return torch.zeros(x)
"""
    assert kept(text) == [
        "import math",
        "SCALE = math.sqrt(4)",
        "def helper(x): return x * SCALE",
        "def answer(x): return helper(x)",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "x = train()",  # the answer's own parameter bears that name
        "answer(1)",
        "check('exercise', answer)",
        "for _ in range(10**9): answer(1); torch.cuda.synchronize()",
        "print(answer)",
        "assert answer(1) == 1",
        "if __name__ == '__main__': main()",
    ],
)
def test_what_an_answer_does_not_rest_on_is_not_run(line: str) -> None:
    needs = "import torch\ndef answer(x): return torch.relu(x)"
    assert kept(f"{needs}\n{line}") == needs.splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "table.append(1)",
        "table[0] = 1",
        "table.size = 1",
        "table += [1]",
        "for i in range(3): table.append(i)",
        "if True: table = [1]",
        "with open('x') as table: pass",
        "torch.backends.flag = 1",
        "def fill(): global table; table = [1]",
        "from elsewhere import *",
        "class table: pass",
    ],
)
def test_what_changes_a_needed_object_is_run(line: str) -> None:
    text = f"import torch\ntable = []\n{line}\ndef answer(x): return torch, table"
    assert line in kept(text)


def test_methods_count_as_part_of_their_class() -> None:
    text = "WIDTH = 3\nclass answer:\n    def f(self): return [WIDTH for _ in range(2)]\n"
    assert kept(text) == ["WIDTH = 3", "class answer:"]


def test_only_the_last_definition_is_run() -> None:
    assert kept("def answer(): return 1\ndef answer(): return 2") == ["def answer(): return 2"]


def test_what_a_name_was_before_is_not_run() -> None:
    """A page's own cells use the same names: they train and draw for a long time."""
    text = """
import torch
scores = slow_training()
answer = scores + 1
def scores(x): return x * scale
scale = 2
middle = scores(3)
scale = 5
def answer(x): return scores(x) + middle
"""
    assert kept(text.strip()) == [
        *("def scores(x): return x * scale", "scale = 2", "middle = scores(3)", "scale = 5"),
        "def answer(x): return scores(x) + middle",
    ]


@pytest.mark.parametrize("line", ["if x: base = 1", "for base in [1]: pass", "base += 1"])
def test_what_may_leave_an_earlier_value_keeps_it(line: str) -> None:
    text = f"x = 0\nbase = [3]\n{line}\ndef answer(): return base"
    assert kept(text)[-3:] == ["base = [3]", line, "def answer(): return base"]


def test_what_changes_a_module_holds_though_it_is_imported_again() -> None:
    text = "import torch\ntorch.flag = 1\nimport torch\ndef answer(): return torch"
    assert kept(text) == text.splitlines()


def test_a_decorated_function_reads_at_once() -> None:
    text = "base = 1\n@compiled\ndef answer(): return base\nbase = 2"
    statements, _ = parse([("", text)])
    assert [s.piece.line for s in needed(statements, "answer")] == [1, 2, 4]


def test_broken_cell_is_named_and_the_others_stay() -> None:
    statements, broken = parse([("cell 1", "x ="), ("cell 2", "\nanswer = 1")])
    assert [(piece.place, piece.error) for piece in broken] == [
        ("cell 1, line 1", "SyntaxError: invalid syntax")
    ]
    assert [statement.piece.place for statement in needed(statements, "answer")] == [
        "cell 2, line 2"
    ]


@pytest.mark.parametrize("joint", ["\n", "\0"])
def test_a_future_import_holds_for_what_follows(joint: str) -> None:
    """In the same cell, and in the cells after it."""
    text = f"from __future__ import annotations{joint}def answer(x: nowhere) -> no: return x"
    statements, _ = parse([("cell", cell) for cell in text.split("\0")])
    space: dict[str, object] = {}
    exec(statements[1].code, space)
    assert "answer" in space


@pytest.mark.parametrize("text", ["(" * 5000, "a\0b", "\ud800"])
def test_text_that_breaks_the_parser_is_named(text: str) -> None:
    statements, broken = parse([("", text)])
    assert (statements, len(broken)) == ([], 1)
