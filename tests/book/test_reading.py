"""What a reader does with the built book: find, turn pages, copy, run, switch to dark."""

import re
from typing import Any

import pytest

from tests.book.conftest import CHAPTERS, ROOT, LookAt, Open

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def found(page: Any) -> list[str]:
    """The sections on the page of results, best first, as addresses within the book."""
    page.wait_for_selector("#search-results li")
    links = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    return [re.sub(r".*/book/|\?[^#]*", "", link) for link in links]


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("sees only its part", "04_split_heads.html"),
        ("square root", "01_single_head.html"),
        ("sqrt", "01_single_head.html"),
        ("registration bug", "02_registration_bug.html"),
        ("how many heads", "03_looped_heads.html"),
        ("view transpose", "04_split_heads.html"),
        ("sliced", "05_sliced_heads.html"),
        ("flash attention", "06_fused_heads.html"),
        ("contiguous", "04_split_heads.html"),
        ("softmx", "01_single_head.html"),
        ("ModuleList", "03_looped_heads.html"),
        ("GQA", "04_split_heads.html"),
        ("NaN", "01_single_head.html"),
        ("mask", "01_single_head.html"),
        ("register", "02_registration_bug.html"),
    ],
)
def test_search_finds_the_section_that_explains(open_page: Open, words: str, page: str) -> None:
    best = found(open_page(f"search.html?q={words}"))
    assert best[0].partition("#")[0] == page


def test_search_shows_what_it_found_and_leads_there(open_page: Open) -> None:
    page = open_page("search.html?q=softmax")
    assert "#" in found(page)[0]
    assert page.locator("#search-results mark").first.inner_text().lower() == "softmax"
    assert re.fullmatch(r"\d+ sections on \d+ pages", page.locator("#search-count").inner_text())
    page.locator("#search-results a[href*='#']").first.click()
    page.wait_for_selector(".bd-article mark")
    anchor = page.evaluate("document.querySelector(decodeURIComponent(location.hash)) !== null")
    assert anchor


def test_search_says_when_it_finds_nothing_and_shows_what_is_typed_as_text(open_page: Open) -> None:
    page = open_page("search.html?q=softmax")
    field = page.locator(".bd-search-container input")
    field.fill("<qqqq zzzz>")
    assert "Nothing in the book matches “<qqqq zzzz>”" in page.locator("#search-count").inner_text()
    assert page.locator("#search-results li").count() == 0
    field.fill("")
    assert page.locator("#search-count").inner_text() == ""


def test_the_magnifier_stands_beside_the_words(open_page: Open) -> None:
    page = open_page("search.html?q=softmax")
    icon = page.locator(".bd-search-container .fa-magnifying-glass").bounding_box()
    field = page.locator(".bd-search-container input")
    padding = field.evaluate(
        "e => e.getBoundingClientRect().left + parseFloat(getComputedStyle(e).paddingLeft)"
    )
    assert icon["x"] + icon["width"] <= padding


def test_search_opens_from_the_side_bar(open_page: Open) -> None:
    page = open_page("book/notation.html")
    page.locator(".search-button-field:visible").click()
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=softmax")


def test_the_root_is_the_first_page(open_page: Open) -> None:
    first = open_page("book/index.html").locator("h1").inner_text()
    page = open_page("index.html")
    assert page.locator("h1").inner_text() == first
    page.locator("a.right-next").click()
    page.wait_for_url("**/book/notation.html")


def test_next_leads_through_the_book_and_previous_back(open_page: Open) -> None:
    contents = (ROOT / "_toc.yml").read_text(encoding="utf8")
    in_order = re.findall(r"(?:root|file): *.*?([^/\s]+)$", contents, re.M)
    page = open_page("book/index.html")
    turned = []
    while (onward := page.locator("a.right-next")).count():
        with page.expect_navigation():
            onward.click()
        turned.append(page.url.rsplit("/", 1)[1].removesuffix(".html"))
    assert turned == in_order[1:]
    with page.expect_navigation():
        page.locator("a.left-prev").click()
    assert page.url.endswith(f"{in_order[-2]}.html")


@every_chapter
def test_its_colab_button_opens_its_notebook(look_at: LookAt, chapter: str) -> None:
    [address] = look_at(f"book/{chapter}.html").facts["colab"]
    assert address.endswith(f"/blob/main/book/{chapter}.ipynb")
    assert (ROOT / "book" / f"{chapter}.ipynb").exists()


@every_chapter
def test_its_code_has_copy_buttons(look_at: LookAt, chapter: str) -> None:
    facts = look_at(f"book/{chapter}.html").facts
    assert facts["cells"] > 0
    assert facts["copy_buttons"] == facts["cells"]


def test_the_icons_are_drawn(look_at: LookAt) -> None:
    drawn = look_at(f"book/{CHAPTERS[0]}.html").facts["icons"]
    assert drawn
    assert [name for name, mask in drawn if not mask.startswith('url("data:image/svg')] == []


def test_the_switch_turns_to_dark_and_back(open_page: Open) -> None:
    page = open_page("book/notation.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    seen = set()
    for _ in range(3):  # auto, light, dark
        page.locator(".theme-switch-button:visible").click()
        page.wait_for_timeout(100)
        seen.add(page.evaluate(ground))
    assert light in seen
    assert len(seen) == 2


def test_formulas_are_drawn_by_the_browser_itself(look_at: LookAt) -> None:
    drawn = [size for c in CHAPTERS for size in look_at(f"book/{c}.html").facts["formulas"]]
    assert drawn
    assert all(width > 5 and height > 5 for width, height in drawn)
