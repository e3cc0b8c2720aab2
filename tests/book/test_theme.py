"""What the reader can do around the text: menus, side bars, search, contents, copying, marks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.book.conftest import CHAPTERS, Open

FIRST = f"book/{CHAPTERS[0]}.html"
Make = Callable[[int, str], Any]


def test_a_menu_opens_is_walked_by_arrows_and_closes(open_page: Open) -> None:
    page = open_page(FIRST)
    buttons, menus = page.locator(".dropdown-toggle"), page.locator(".dropdown-menu")
    assert buttons.count() > 2
    buttons.nth(1).click()
    page.mouse.move(5, 5)  # pointed at, a menu is open anyway
    assert buttons.nth(1).get_attribute("aria-expanded") == "true"
    assert [menus.nth(i).is_visible() for i in range(3)] == [False, True, False]
    box = menus.nth(1).bounding_box()
    assert box["x"] + box["width"] <= 1280
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    items = menus.nth(1).locator(".dropdown-item")
    assert items.nth(1).evaluate("item => item === document.activeElement")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert items.last.evaluate("item => item === document.activeElement")
    page.keyboard.press("Escape")
    assert not menus.nth(1).is_visible()
    assert buttons.nth(1).evaluate("button => button === document.activeElement")
    buttons.first.click()
    buttons.nth(2).click()
    page.mouse.move(5, 5)
    assert [menus.nth(i).is_visible() for i in range(3)] == [False, False, True]
    page.locator("h1").click()
    assert not menus.nth(2).is_visible()
    assert buttons.nth(2).get_attribute("aria-expanded") == "false"


def test_on_a_phone_menus_and_the_search_field_are_whole(site: Path, new_page: Make) -> None:
    page = new_page(390, "light")
    page.goto((site / FIRST).as_uri())
    buttons, menus = page.locator(".dropdown-toggle"), page.locator(".dropdown-menu")
    for i in range(buttons.count()):
        buttons.nth(i).click()
        box = menus.nth(i).bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= 390
        page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    assert page.locator(".search-button__search-container input").is_visible()
    assert not page.locator(".search-button__kbd-shortcut:visible").count()
    page.close()


def test_a_scroll_bar_has_its_room_before_it_is_there(open_page: Open) -> None:
    """A page is drawn before it is read whole; a scroll bar that came then would move the text."""
    page = open_page(FIRST)
    assert page.evaluate("getComputedStyle(document.documentElement).scrollbarGutter") == "stable"


def test_the_keyboard_opens_the_search_and_closes_it(open_page: Open) -> None:
    page = open_page(FIRST)
    field = page.locator(".search-button__search-container input")
    page.keyboard.press("Control+k")
    assert field.evaluate("field => field === document.activeElement")
    page.keyboard.press("Escape")
    assert not field.is_visible()
    page.locator(".search-button-field:visible").click()
    assert field.is_visible()
    page.locator(".search-button__overlay").click(position={"x": 5, "y": 5})
    assert not field.is_visible()


def test_the_contents_mark_what_is_read_with_what_it_stands_in(open_page: Open) -> None:
    page = open_page(FIRST)
    links = page.locator(".bd-toc-nav a")
    inner = page.locator(".bd-toc-nav ul ul a").last
    page.evaluate(
        "name => document.getElementById(name).scrollIntoView()",
        inner.get_attribute("href").removeprefix("#"),
    )
    page.wait_for_function("link => link.matches('.active')", arg=inner.element_handle())
    marked = links.evaluate_all("all => all.filter((a) => a.matches('.active')).length")
    assert marked == 2  # the section and the one around it
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("!document.querySelector('.bd-toc-nav .active')")


@pytest.mark.parametrize("side", ["primary", "secondary"])
def test_on_a_phone_a_side_bar_opens_takes_the_focus_and_closes(
    site: Path, new_page: Make, side: str
) -> None:
    page = new_page(390, "light")
    page.goto((site / FIRST).as_uri())
    bar, button = page.locator(f".bd-sidebar-{side}"), page.locator(f".{side}-toggle")
    assert not bar.is_visible()
    button.click()
    bar.wait_for(state="visible")
    page.wait_for_function(
        "side => document.querySelector('.bd-sidebar-' + side).contains(document.activeElement)",
        arg=side,
    )
    page.keyboard.press("Escape")
    bar.wait_for(state="hidden")
    assert button.evaluate("button => button === document.activeElement")
    page.close()


def test_the_reader_s_colours_are_kept(site: Path, new_page: Make) -> None:
    page = new_page(1280, "dark")
    page.goto((site / FIRST).as_uri())
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.locator(".theme-switch-button:visible").click()
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.evaluate("localStorage.clear()")
    page.close()


def test_a_block_of_code_is_copied_as_it_stands(site: Path, chromium: Any) -> None:
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard',"
        " { value: { writeText: async (text) => (window.copied = text) } })"
    )
    page.goto((site / FIRST).as_uri())
    code = page.locator("div.cell_input:visible pre").first
    code.scroll_into_view_if_needed()
    code.hover()
    button = code.locator("xpath=following-sibling::button")
    button.click()
    page.wait_for_function("window.copied")
    assert button.inner_text() == "Copied"
    assert page.evaluate("copied") == code.inner_text().rstrip("\n")
    context.close()


def test_the_words_that_were_looked_for_are_marked_until_escape(open_page: Open) -> None:
    page = open_page(f"{FIRST}?highlight=softmax row")
    marks = page.locator(".bd-article mark")
    assert {text.lower() for text in marks.all_inner_texts() if text} >= {"softmax", "row"}
    page.get_by_role("button", name="Hide search matches").wait_for()
    page.keyboard.press("Escape")
    assert marks.count() == 0
    assert "highlight" not in page.url


def test_what_is_too_wide_is_reached_by_the_keyboard_and_nothing_else(
    site: Path, new_page: Make
) -> None:
    page = new_page(390, "light")
    page.goto((site / "book/species.html").as_uri())
    page.evaluate("document.dispatchEvent(new Event('load-viewers'))")
    page.wait_for_function("document.querySelector('.bd-article [tabindex]:is(pre, table)')")
    page.wait_for_timeout(200)
    wrong = page.evaluate(
        """[...document.querySelectorAll(".bd-article :is(pre, table)")]
        .filter((frame) => !frame.closest("details:not([open])"))
        .filter((frame) => {
          const scrolls = /auto|scroll/.test(getComputedStyle(frame).overflowX);
          return (frame.tabIndex === 0) !== (scrolls && frame.scrollWidth > frame.clientWidth);
        }).length"""
    )
    assert wrong == 0
    page.close()
