"""What a page loads: a viewer comes when the reader does, and nothing moves while a page opens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.book.conftest import CHAPTERS, PAGES

Make = Callable[[int, str], Any]
SHIFT = """() => new Promise((told) => {
  let total = 0;
  new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (total += value)))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => told(total), document.querySelector("[data-viewer]") ? 700 : 250);
})"""
DRAWN = "view => view.matches('[data-mounted], [data-drawn]')"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["index.html", *PAGES])
def test_nothing_moves_while_a_page_opens(
    site: Path, new_page: Make, name: str, width: int
) -> None:
    page = new_page(width, "light")
    page.goto((site / name).as_uri())
    assert page.evaluate(SHIFT) < 0.02
    page.close()


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
@pytest.mark.parametrize(
    "place", ["book/04_split_heads.html#exercises", "book/species.html#scaled-twice"]
)
def test_a_link_into_a_page_leads_to_its_section(
    request: pytest.FixtureRequest, site: Path, place: str, browser: str
) -> None:
    """What stands above it is laid out later, and must not push it away."""
    context = request.getfixturevalue(browser).new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    file, _, name = place.partition("#")
    heading = page.locator(f"#{name} > :is(h2, h3)")
    page.goto(f"{site.as_uri()}/{place}")
    for _ in range(2):
        page.wait_for_timeout(400)
        assert -1 <= heading.bounding_box()["y"] < 200
        # By a link within the page, at once.
        page.goto(f"{site.as_uri()}/{file}")
        page.locator(f"a[href='#{name}']").first.evaluate("link => link.click()")
    context.close()


def test_sections_out_of_sight_are_laid_out_while_nothing_else_happens(
    site: Path, new_page: Make
) -> None:
    page = new_page(390, "light")
    page.goto((site / "book/04_split_heads.html").as_uri())
    page.wait_for_function(
        """[...document.querySelectorAll(".bd-article section section")]
        .every((section) => getComputedStyle(section).contentVisibility === "visible")"""
    )
    page.close()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_viewer_is_drawn_when_the_reader_comes_near(
    site: Path, new_page: Make, chapter: str
) -> None:
    page = new_page(1280, "light")
    page.goto((site / "book" / f"{chapter}.html").as_uri())
    views = page.locator("[data-viewer], [data-head-view]")
    last = views.last
    assert not last.evaluate(DRAWN)
    assert last.locator("> .viewer-static").is_visible()
    last.scroll_into_view_if_needed()
    last.locator("> .viewer-static").wait_for(state="hidden")
    assert last.evaluate(DRAWN)
    page.close()


def test_the_first_viewer_takes_the_place_of_its_twin(site: Path, new_page: Make) -> None:
    page = new_page(1280, "light")
    page.goto((site / "index.html").as_uri())
    page.locator("[data-viewer][data-mounted]:not([data-first])").first.wait_for(state="visible")
    assert not page.locator("[data-viewer] > .viewer-static").first.is_visible()
    page.close()


def test_a_viewer_whose_script_is_missing_leaves_its_twin(site: Path, new_page: Make) -> None:
    page = new_page(1280, "light")
    page.route("**/_static/viewers/*", lambda route: route.abort())
    page.goto((site / "index.html").as_uri())
    page.locator("[data-viewer] > .viewer-static").first.wait_for(state="visible")
    page.close()
