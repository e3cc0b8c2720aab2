import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from cleanformer_lite import SplitMultiHeadAttention
from cleanformer_lite.copy_back import train_copy_back
from cleanformer_lite.viewers.trained_anyway import RECORDED, WHAT, guess_the_broken

Open = Callable[..., Page]
TASK = "one and three back"


def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf8"))
    return found


def test_the_record_is_what_the_module_does() -> None:
    # The first steps only: over many, another processor's rounding may lead elsewhere.
    losses = train_copy_back(lambda: SplitMultiHeadAttention(32, 4), 32, offsets=(1, 3), steps=20)[
        1
    ]
    record = next(run for run in recorded()["runs"] if run["name"] == "split_heads")
    means = [sum(losses[i : i + 10]) / 10 for i in (0, 10)]
    assert record["tasks"][TASK]["losses"][:2] == pytest.approx(means, abs=0.01)


def test_the_record_says_where_it_comes_from() -> None:
    for fact in ("E = 32, H = 4", "float32", "CPU", "torch 2", "20", "seed 0"):
        assert fact in recorded()["setting"]
    assert {run["name"] for run in recorded()["runs"]} == set(WHAT)
    assert [run["name"] for run in recorded()["runs"] if not run["broken"]] == [
        "split_heads",
        "looped_heads",
    ]


def test_most_that_is_broken_trained_anyway() -> None:
    """What the page says of these curves."""
    broken = [run["tasks"]["three back"] for run in recorded()["runs"] if run["broken"]]
    assert sum(run["losses"][-1] < 0.1 for run in broken) > len(broken) / 2
    assert all(run["losses"][-1] < math.log(8) for run in broken)


def by_mouse(page: Page) -> None:
    page.get_by_label(TASK).check()
    for letter in "DBC":
        page.get_by_label(f"{letter} is broken").click()
    page.get_by_role("button", name="Reveal").click()


def by_keyboard(page: Page) -> None:
    marks = ["Tab", "Space"] * 3  # past the first, on B, C and D
    for key in ("Tab", "ArrowRight", "Tab", *marks, *["Tab"] * 9, "Enter"):
        page.keyboard.press(key)


@pytest.mark.parametrize("act", [by_mouse, by_keyboard])
def test_guesses_are_counted_against_the_record(open_page: Open, open_live: Open, act: Any) -> None:
    names = [run["name"] for run in guess_the_broken().runs]
    runs = {run["name"]: run for run in recorded()["runs"]}
    marked = set(names[1:4])
    right = sum((name in marked) == runs[name]["broken"] for name in names)
    assert right != len(marked)  # or a count of marks would pass for one of right guesses
    low = [n for n in names if runs[n]["broken"] and runs[n]["tasks"][TASK]["losses"][-1] < 0.1]
    texts = []
    for opened in (open_page, open_live):
        page = opened(guess_the_broken())
        assert "plain list" not in page.locator(".curves").inner_text()  # not yet
        act(page)
        texts.append(page.locator(".says").inner_text())
        truths = page.locator(".truth strong").all_inner_texts()
        assert [truth.split(": ")[1] for truth in truths] == [n.replace("_", " ") for n in names]
        label = str(page.locator(".curves svg").first.get_attribute("aria-label"))
        assert f"{runs[names[0]]['tasks'][TASK]['losses'][-1]:.2f} at last" in label
    assert texts[0] == texts[1]
    assert texts[0] == (
        f"You judged {right} of {len(names)} rightly. 10 are broken, "
        f"and {len(low)} of these end with a loss below 0.1."
    )


def test_a_task_or_run_that_is_not_there_is_refused() -> None:
    viewer = guess_the_broken()
    with pytest.raises(ValueError, match=r"wanted one of the tasks .*, got 'sums'"):
        viewer.task = "sums"
    with pytest.raises(ValueError, match=r"wanted runs from 0 to 11, got \[12\]"):
        viewer.guesses = [12]
