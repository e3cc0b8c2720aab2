"""What must hold on every built page, opened from its file with the network off."""

from pathlib import Path
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe

from tests.book.conftest import PAGES, Open

every_page = pytest.mark.parametrize("name", PAGES)


@every_page
def test_asks_nobody_and_complains_of_nothing(open_page: Open, name: str) -> None:
    opened = open_page(name)
    opened.page.wait_for_timeout(300)
    assert opened.elsewhere == []
    assert opened.missing == []
    assert opened.complaints == []


@every_page
def test_names_no_file_of_another_host(site: Path, open_page: Open, name: str) -> None:
    # What a click, a hover or another browser would fetch does not show among the requests.
    page = open_page(name).page
    fetched = page.eval_on_selector_all(
        "script[src], link[rel~=stylesheet], link[rel~=preload], link[rel~=icon], img, iframe, source",
        "all => all.map(e => e.src || e.href).filter(url => url && !/^(file|data):/.test(url))",
    )
    assert fetched == []


@every_page
def test_has_one_search_box(open_page: Open, name: str) -> None:
    page = open_page(name).page
    boxes = page.locator("input[type=search]:visible, .search-button-field:visible").count()
    # The page of search results has its own box beside the one in the side bar.
    assert boxes <= (2 if name == "search.html" else 1)
    assert boxes >= 1


@every_page
def test_has_a_title_and_a_description_for_each_picture(open_page: Open, name: str) -> None:
    page = open_page(name).page
    assert len(page.title().split()) > 1
    assert page.locator("h1:visible").count() == 1
    alternatives = page.eval_on_selector_all(
        "article img", "all => all.map(e => e.getAttribute('alt') ?? '')"
    )
    for alternative in alternatives:
        # Without an `alt` of its own, a picture gets its file's name.
        assert " " in alternative, f"{name}: a picture is described as {alternative!r}"


@every_page
def test_does_not_scroll_sideways_on_a_phone(open_page: Open, name: str) -> None:
    page = open_page(name, width=390).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    too_wide = page.evaluate(
        """() => [...document.querySelectorAll('article *')].filter(element => {
            const inside = element.closest(
              'pre, .highlight, [style*=overflow], math, table, .vis, .weights, svg, .cell_output');
            return !inside && element.getBoundingClientRect().right > 391;
        }).map(element => element.outerHTML.slice(0, 80))"""
    )
    assert too_wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@every_page
def test_is_readable_to_everyone(open_page: Open, name: str, scheme: str) -> None:
    page = open_page(name, scheme=scheme).page
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    found: Any = Axe().run(page, options={"resultTypes": ["violations"]})
    said = [
        f"{rule['id']}: {node['html'][:120]} {node['any'][0]['message'] if node['any'] else ''}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
    assert said == []
