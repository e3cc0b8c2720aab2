"""`check` gives a card whatever the answer does, and leaves the session as it was."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cleanformer_lite
from cleanformer_lite.checks import (
    EXERCISES,
    MISTAKES,
    Progress,
    api,
    check,
    find,
    hint,
    keep_progress,
    last_named,
)
from cleanformer_lite.checks.api import kept, time_limit
from cleanformer_lite.checks.session import TimeLimitReached


def leave(x: Tensor) -> None:
    sys.exit(0)


class NeverEnds(nn.Module):
    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        while True:
            pass


def test_an_answer_that_never_ends_is_stopped_in_time() -> None:
    started = time.monotonic()
    for exercise, answer in (
        ("split_heads.merge", stubborn_once),
        ("split_heads.module", NeverEnds),
    ):
        report = check(exercise, answer, seconds=0.3)
        assert report.status == "timeout"
        assert exercise in str(report)
        assert "stopped: no answer after" in str(report)  # 0.3 s of work, or longer of waiting
    assert time.monotonic() - started < 5
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_answer_that_only_waits_is_stopped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    report = check("split_heads.merge", lambda x: time.sleep(600), seconds=0.1)
    assert report.status == "timeout"
    assert "0.4 s, most of it waiting" in str(report)


def test_a_busy_machine_stops_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time in which others have the processor is not the answer's."""
    monkeypatch.setattr("cleanformer_lite.checks.api.PATIENCE", 10**6)

    def held_up(x: Tensor) -> Tensor:
        time.sleep(0.1)
        return cleanformer_lite.merge_heads(x)

    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    assert check("split_heads.merge", held_up, seconds=0.05).passed


def stubborn_once(x: Tensor) -> None:
    caught = 0
    while caught < 3:
        try:
            while True:
                pass
        except:  # noqa: E722
            caught += 1
    while True:
        pass


def test_the_timer_and_handler_of_others_are_put_back() -> None:
    calls: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: calls.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.4)
        with time_limit(3.0):
            pass
        time.sleep(0.6)
        assert calls == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_the_limit_is_no_exception_that_an_answer_would_catch() -> None:
    assert not issubclass(TimeLimitReached, Exception)


def test_outside_the_main_thread_there_is_no_limit_and_no_error() -> None:
    reports: list[Any] = []
    thread = threading.Thread(
        target=lambda: reports.append(check("split_heads.merge", cleanformer_lite.merge_heads))
    )
    thread.start()
    thread.join()
    assert reports[0].passed


@pytest.mark.parametrize("exercise", EXERCISES)
def test_what_is_not_answered_yet_is_missing(exercise: str) -> None:
    names: dict[str, Any] = {"nn": nn, "torch": torch}
    exec(EXERCISES[exercise].starter, names)
    report = check(exercise, names[EXERCISES[exercise].entry_point])
    if "NotImplementedError" in EXERCISES[exercise].starter:
        assert report.status == "missing"
        assert "not answered yet" in str(report)
        assert report.failed == ()
    else:
        assert report.status == "failed"
        assert len(report.species) == 1
    assert check(exercise, None).status == "missing"
    assert check(exercise, ...).status == "missing"
    assert report.points == 0


@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize(
    "answer",
    [3, "text", leave, lambda *given: 1 / 0, lambda *given: "text", lambda: None, int, nn.Linear],
)
def test_strange_answers_give_a_card(exercise: str, answer: object) -> None:
    report = check(exercise, answer)
    assert report.status in ("failed", "crashed")
    assert report.failed
    assert len(str(report).splitlines()) <= 8
    assert report.species == ()


def test_nothing_of_the_session_changes(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)

    def speaks(x: Tensor) -> Tensor:
        print("hello")
        return cleanformer_lite.merge_heads(x)

    assert check("split_heads.merge", speaks).passed
    assert torch.equal(torch.rand(3), expected)
    assert "hello" in capsys.readouterr().out


def test_the_seed_is_another_every_time() -> None:
    seen: list[Tensor] = []

    def remember(x: Tensor, num_heads: int) -> Tensor:
        seen.append(x)
        return cleanformer_lite.split_heads(x, num_heads)

    check("split_heads.split", remember)
    half = len(seen)
    check("split_heads.split", remember)
    assert not torch.equal(seen[half - 1], seen[-1])


def test_an_unknown_exercise_names_its_neighbours() -> None:
    with pytest.raises(ValueError, match=r"split_heads\.merge.*split_heads\.mrege"):
        check("split_heads.mrege", None)


def test_hints_come_one_by_one() -> None:
    api._given.clear()
    api._named.clear()
    hints = [hint("split_heads.merge") for _ in range(4)]
    assert hints[0].startswith("Hint 1 of 3")
    assert hints[2] == hints[3]
    assert all(
        text.endswith(ours)
        for text, ours in zip(hints, EXERCISES["split_heads.merge"].hints, strict=False)
    )


def test_after_a_named_mistake_hints_are_that_mistakes() -> None:
    api._given.clear()
    assert not check("split_heads.merge", lambda x: x.reshape(len(x), x.shape[2], -1)).passed
    hints = [hint("split_heads.merge") for _ in range(3)]
    wanted = MISTAKES["merge_without_transpose"].hints
    assert all(text.endswith(ours) for text, ours in zip(hints, wanted, strict=True))
    assert "(merge_without_transpose)" in hints[0]
    # Another answer that no mistake explains: the exercise's own again, from the first.
    check("split_heads.merge", lambda x: x.flip(1).transpose(1, 2).flatten(2))
    assert hint("split_heads.merge").endswith(EXERCISES["split_heads.merge"].hints[0])
    assert hint("split_heads.merge", "nan_rows").endswith(MISTAKES["nan_rows"].hints[0])
    with pytest.raises(ValueError, match="wanted a known mistake"):
        hint("split_heads.merge", "nan_row")


def test_the_last_named_mistake_is_kept_with_the_progress(tmp_path: Path) -> None:
    file = tmp_path / "progress.json"
    try:
        keep_progress(file)
        check("split_heads.merge", lambda x: x.reshape(len(x), x.shape[2], -1))
        api._named.clear()
        keep_progress(file)
        assert last_named("split_heads.merge") == "merge_without_transpose"
        check("split_heads.merge", cleanformer_lite.merge_heads)
        assert last_named("split_heads.merge") == ""
        assert Progress.load(file).mistake("split_heads.merge") == ""
    finally:
        kept.clear()


def test_the_last_part_of_a_name_is_enough_where_only_one_has_it() -> None:
    assert find("greedy").id == "transformer.greedy"
    with pytest.raises(ValueError, match=r"did you mean split_heads\.merge or fused_heads\.merge"):
        find("merge")


def test_the_card_of_an_answer_that_raises_shows_what_was_wanted() -> None:
    text = str(check("single_head.attention", lambda *given: given[7]))
    assert "target: ([[" in text
    assert "length" not in text


def test_results_are_kept_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "progress.json"
    try:
        keep_progress(file)
        check("split_heads.merge", lambda x: x)
        check("split_heads.merge", cleanformer_lite.merge_heads)
        file.write_text("{")
        broken = check("split_heads.split", cleanformer_lite.split_heads)
        wrong = check("split_heads.split", lambda x, h: x.view(len(x), h, x.shape[1], -1))
    finally:
        kept.clear()
    assert broken.passed
    assert "not saved" in str(broken)
    # What the check found stands beside it.
    assert "not saved" in str(wrong)
    assert wrong.species == ("split_without_transpose",)
    assert "Known mistake split_without_transpose" in str(wrong)
    assert file.read_text() == "{"
    file.unlink()
    assert Progress.load(file).results == {}


def test_importing_the_package_stays_light() -> None:
    code = (
        "import sys, cleanformer_lite\n"
        "heavy = {'matplotlib', 'IPython', 'ipywidgets', 'bertviz', 'sympy', 'numpy.testing'}\n"
        "cleanformer_lite.check('split_heads.merge', lambda x: x)\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
