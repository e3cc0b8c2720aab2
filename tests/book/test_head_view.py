"""bertviz's head view on the published page: it draws, switches heads and works by keyboard."""

from typing import Any

import pytest

from tests.book.conftest import CHAPTERS, Open

OPACITY = """(svg, head) => [...svg.querySelectorAll(`.headAttention[head-index="${head}"] line`)]
    .map(line => +line.getAttribute('stroke-opacity'))"""


@pytest.fixture(params=CHAPTERS, scope="module")
def opened(request: pytest.FixtureRequest, open_page: Open) -> Any:
    """Open each chapter once, for all that is tried on it."""
    return open_page(f"book/{request.param}.html").locator("[data-head-view]").last


@pytest.fixture
def view(opened: Any) -> Any:
    assert opened.locator("svg").count() == 1
    # Whatever the test before switched off is switched on.
    off = opened.get_by_role("checkbox", checked=False)
    while off.count():
        off.first.click()
    return opened


def opacities(view: Any, head: int) -> list[float]:
    found: list[float] = view.locator("svg").evaluate(OPACITY, head)
    return found


def test_every_weight_is_a_line_and_a_number(view: Any) -> None:
    squares = view.get_by_role("checkbox").count()
    lines = view.locator("line").count()
    assert squares > 0
    assert lines == view.locator("td:not(:empty)").count()
    assert sum(sum(opacities(view, head)) for head in range(squares)) > 0


def test_a_click_switches_a_head_off_and_on(view: Any) -> None:
    squares = view.get_by_role("checkbox")
    if squares.count() == 1:
        pytest.skip("the only head cannot be switched off")
    assert sum(opacities(view, 0)) > 0
    others = sum(opacities(view, 1))
    squares.first.click()
    assert sum(opacities(view, 0)) == 0
    assert sum(opacities(view, 1)) == pytest.approx(others)  # lines do not pale in company
    assert squares.first.get_attribute("aria-checked") == "false"
    squares.first.click()
    assert sum(opacities(view, 0)) > 0
    assert squares.first.get_attribute("aria-checked") == "true"


def test_the_keyboard_does_what_the_mouse_does(view: Any) -> None:
    squares = view.get_by_role("checkbox")
    if squares.count() == 1:
        pytest.skip("the only head cannot be switched off")
    squares.first.focus()
    view.page.keyboard.press("Space")
    assert sum(opacities(view, 0)) == 0
    view.page.keyboard.press("Shift+Enter")
    assert sum(opacities(view, 0)) > 0
    assert sum(opacities(view, 1)) == 0


def test_arrow_keys_follow_one_word(view: Any) -> None:
    words = view.locator(".left")
    words.focus()
    view.page.keyboard.press("ArrowDown")
    view.page.keyboard.press("ArrowDown")
    shown = view.locator("line[visibility=visible]")
    followed = shown.evaluate_all("all => all.map(e => e.getAttribute('left-token-index'))")
    second_or_last = min(1, words.locator("text").count() - 1)
    assert set(followed) == {str(second_or_last)}
