"""Every page in Firefox, where what the other browser forgives may not hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.book.conftest import CHAPTERS, PAGES
from tests.book.looking import Watched, draw_viewers

# Whether each viewer has drawn itself, and hidden the twin that stands in for it.
STARTED = """all => all.map(view =>
    view.querySelector("svg, .viewer-static[hidden]") !== null)"""


@pytest.fixture(scope="module")
def context(firefox: Any) -> Iterator[Any]:
    context = firefox.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    yield context
    context.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    page = context.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_and_complains_of_nothing(page: Any, site: Path, name: str) -> None:
    watched = Watched(page)
    watched.listen()
    page.goto((site / name).as_uri())
    draw_viewers(page)
    page.wait_for_timeout(100)  # a script that complains may do so late
    assert watched.complaints == []
    assert watched.missing == []
    assert [url for url in watched.asked if not url.startswith(("file:", "data:"))] == []
    assert page.locator("h1:visible").count() == 1
    started = page.locator("[data-viewer], [data-head-view]").evaluate_all(STARTED)
    assert all(started)
    if Path(name).stem in CHAPTERS:
        assert started
