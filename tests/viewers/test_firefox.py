"""The viewers in Firefox: each draws, complains of nothing, and answers a click and a key."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cleanformer_lite import LoopedMultiHeadAttention, viewers
from cleanformer_lite.registration_bug import HeadsInPlainList
from tests.viewers.conftest import SHELL

Open = Callable[[str], Any]


@pytest.fixture(scope="module")
def context(firefox: Any) -> Iterator[Any]:
    context = firefox.new_context(viewport={"width": 1000, "height": 900}, offline=True)
    yield context
    context.close()


@pytest.fixture
def show(context: Any, tmp_path: Path) -> Iterator[Open]:
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))

    def shown(body: str) -> Any:
        file = tmp_path / "page.html"
        file.write_text(SHELL.format(body=body, theme='data-theme="light"'), encoding="utf8")
        page.goto(file.as_uri())
        return page

    yield shown
    page.close()
    assert complaints == []


def said(page: Any) -> str:
    return str(page.locator(".says").inner_text())


def test_the_stage_tells_what_a_number_is_made_of(show: Open) -> None:
    page = show(viewers.stage(step="mask").page())
    page.locator("[data-key='s.0.2.1']").click()
    assert "/ 1.73." in said(page)
    page.wait_for_function("document.querySelector('.board').scrollTop === 0")
    page.keyboard.press("ArrowRight")
    assert "score of “sat” for “sat”" in said(page)
    page.get_by_label("sliced", exact=True).check()
    assert "numbers changed" in said(page)


def test_a_wheel_on_the_strip_picks_a_step(show: Open) -> None:
    page = show(viewers.stage(step="x").page())
    page.locator(".rail").hover()
    page.mouse.wheel(120, 0)
    page.wait_for_function("document.querySelector('.rail [aria-current]').innerText === 'W'")


def test_the_index_tracer_builds_a_recipe(show: Open) -> None:
    page = show(viewers.trace_index().page())
    page.get_by_role("button", name="a bare view").click()
    assert "split_without_transpose" in said(page)
    assert page.locator(".lamp-line.on").count() == 1
    assert page.locator(".strides .arrow").count() == 2


def test_the_xray_acts(show: Open) -> None:
    modules = {"list": HeadsInPlainList(6, 2), "right": LoopedMultiHeadAttention(6, 2)}
    page = show(viewers.show_xray(modules, torch.randn(2, 3, 6)).page())
    page.get_by_role("button", name="save", exact=True).click()
    assert "1 of 7 layers saved" in said(page)


def test_tests_turn_cards(show: Open) -> None:
    page = show(viewers.guess_the_broken().page())
    page.get_by_role("button", name="Just show me").click()
    page.locator("[data-key=testcausality]").click()
    assert page.locator(".caught").count() == 6


def test_the_head_explorer_reads_its_map(show: Open) -> None:
    weights = torch.softmax(torch.eye(5), -1).expand(2, 5, 5)
    page = show(viewers.explore_heads(weights, list("abcde"), says=["x", "y", "x"]).page())
    page.locator(".big-map").focus()
    page.keyboard.press("ArrowRight")
    assert "“a” gets" in said(page)
    page.locator("[data-box='0']").uncheck()
    assert page.locator(".model-says").inner_text() == "Without head 0 the model says: y"


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_head_view_has_its_colours_and_marks_below_words(show: Open) -> None:
    weights = torch.softmax(3 * torch.eye(3), -1).expand(2, 3, 3)
    page = show(viewers.head_view(weights, list("abc")).data)
    ink = page.locator("line").first.evaluate("line => getComputedStyle(line).stroke")
    assert ink == "rgb(0, 114, 178)"
    mark = page.locator(".attentionBoxes rect").first.evaluate(
        "mark => mark.getBoundingClientRect().height"
    )
    assert mark < 6
