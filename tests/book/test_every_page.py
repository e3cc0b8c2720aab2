"""What must hold on every built page, opened from its file with the network off."""

from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe

from tests.book.conftest import PAGES, Open

every_page = pytest.mark.parametrize("name", PAGES)
# What a browser with a network would fetch by itself.
FETCHED = "script[src], link[rel~=stylesheet], link[rel~=preload], link[rel~=icon], img, iframe"
# What may be wider than a phone, because it scrolls inside its own frame.
# The rule of unique ids has gone from WCAG 2.2, and from axe after this one; the theme's page of
# results breaks it.
OPTIONS = {"rules": {"duplicate-id-active": {"enabled": 0}}}
FRAMES = "pre, .highlight, math, table, .vis, .weights, svg, .cell_output"


@every_page
def test_asks_nobody_and_complains_of_nothing(look_at: Open, name: str) -> None:
    opened = look_at(name)
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
    assert opened.missing == []
    assert opened.complaints == []


@every_page
def test_names_no_file_of_another_host(look_at: Open, name: str) -> None:
    addresses = look_at(name).page.eval_on_selector_all(
        FETCHED, "all => all.map(element => element.src || element.href)"
    )
    assert [url for url in addresses if not url.startswith(("file:", "data:"))] == []


@every_page
def test_has_one_search_box(look_at: Open, name: str) -> None:
    boxes = look_at(name).page.locator("input[type=search]:visible, .search-button-field:visible")
    # The page of results has a box of its own beside the one in the side bar.
    assert boxes.count() == (2 if name == "search.html" else 1)


@every_page
def test_has_a_title_and_a_description_for_each_picture(look_at: Open, name: str) -> None:
    page = look_at(name).page
    assert len(page.title().split()) > 1
    assert page.locator("h1:visible").count() == 1
    for said in page.eval_on_selector_all("article img", "all => all.map(image => image.alt)"):
        # Without words of its own, a picture is described by its file's name.
        assert " " in said


@every_page
def test_does_not_scroll_sideways_on_a_phone(look_at: Open, name: str) -> None:
    page = look_at(name, width=390).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    too_wide = page.evaluate(
        """frames => [...document.querySelectorAll('article *')]
            .filter(element => !element.closest(frames))
            .filter(element => element.getBoundingClientRect().right > 391)
            .map(element => element.outerHTML.slice(0, 80))""",
        FRAMES,
    )
    assert too_wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@every_page
def test_is_readable_to_everyone(look_at: Open, name: str, scheme: str) -> None:
    page = look_at(name, scheme=scheme).page
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    found: Any = Axe().run(page, options=OPTIONS)
    assert found["passes"]
    said = [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
    assert said == []
