"""What makes the pages a site: every link leads somewhere, and each page says what it is about."""

import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from book_sources import Book
from PIL import Image
from pypdf import PdfReader

from tests.book.conftest import CHAPTERS, HTML, PAGES, ROOT

BOOK = Book(ROOT / "book")
EVERY = [*PAGES, "index.html", "404.html"]
every_page = pytest.mark.parametrize("name", EVERY)
every_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


class Read(HTMLParser):
    """One page as a search engine reads it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.told: dict[str, str] = {}
        self.icons: list[str] = []
        self.canonical: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.styles: list[str] = []
        self.text = path.read_text(encoding="utf8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.ids |= {value for key in ("id", "name") if (value := given.get(key))}
        self.links += [value for key in ("href", "src", "action") if (value := given.get(key))]
        if tag == "meta":
            name = given.get("name") or given.get("property")
            if name:
                assert name not in self.told, f"{name} is told twice"
                self.told[name] = given.get("content") or ""
        if tag == "link":
            listed = {"icon": self.icons, "canonical": self.canonical, "stylesheet": self.styles}
            listed.get(str(given.get("rel")), []).append(given.get("href") or "")
        if tag == "script" and given.get("src"):
            self.scripts.append(given)


@pytest.fixture(scope="module")
def read(site: Path) -> Callable[[str], Read]:
    seen: dict[str, Read] = {}

    def once(name: str) -> Read:
        if name not in seen:
            seen[name] = Read(site / name)
        return seen[name]

    return once


def lead(name: str, link: str) -> tuple[Path, str] | None:
    """Return the file and the anchor that a link leads to, or None if it leads elsewhere."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    prefix = urlsplit(BOOK.site).path + "/"
    path = unquote(parts.path)
    if path.startswith("/"):  # on the page that is shown at any address
        assert path.startswith(prefix)
        return (HTML / path.removeprefix(prefix)).resolve(), parts.fragment
    return ((HTML / name).parent / path if path else HTML / name).resolve(), parts.fragment


@every_page
def test_every_link_leads_to_a_file_and_an_anchor(read: Callable[[str], Read], name: str) -> None:
    page = read(name)
    assert page.links
    for link in page.links:
        if to := lead(name, link):
            file, anchor = to
            assert file.exists(), link
            assert file.is_relative_to(HTML), link
            if anchor and file.suffix == ".html":
                assert anchor in read(file.relative_to(HTML).as_posix()).ids, link


@every_page
def test_a_page_tells_what_it_is_about(read: Callable[[str], Read], name: str) -> None:
    told = read(name).told
    assert 20 < len(told["description"]) <= 203
    assert told["og:description"] == told["description"]
    assert told["og:title"]
    assert told["og:image:alt"]
    assert told["og:url"].startswith(BOOK.site)
    [canonical] = read(name).canonical
    assert canonical == told["og:url"]
    [icon] = read(name).icons
    to = lead(name, icon)
    assert to is not None
    assert to[0].exists()


def test_no_two_pages_have_one_address(read: Callable[[str], Read]) -> None:
    addresses = [read(name).canonical[0] for name in EVERY if name != "book/index.html"]
    assert len(set(addresses)) == len(addresses)
    # The first page stands at the root too, which is its address.
    assert read("book/index.html").canonical == read("index.html").canonical == [f"{BOOK.site}/"]


@every_chapter
def test_a_chapter_is_described_by_its_question(read: Callable[[str], Read], chapter: str) -> None:
    source = (ROOT / "book" / f"{chapter}.md").read_text(encoding="utf8")
    question = re.search(r"^\*\*([^*]+\?)\*\*$", source, re.M)
    assert question
    words = re.findall(r"\w+", question[1])
    assert re.findall(r"\w+", read(f"book/{chapter}.html").told["description"]) == words


def test_the_card_is_a_picture_of_the_size_it_tells(
    site: Path, read: Callable[[str], Read]
) -> None:
    told = read("index.html").told
    card = site / told["og:image"].removeprefix(f"{BOOK.site}/")
    with Image.open(card) as picture:
        size = picture.size
    assert [str(side) for side in size] == [told["og:image:width"], told["og:image:height"]]
    assert card.stat().st_size < 300_000


def test_plots_have_a_palette(site: Path) -> None:
    plots = sorted((site / "_images").glob("*.png"))
    modes = set()
    for plot in plots:
        with Image.open(plot) as picture:
            modes.add(picture.mode)
    assert modes <= {"P"}


def test_the_map_lists_every_page_once(site: Path, read: Callable[[str], Read]) -> None:
    listed = re.findall(r"<loc>(.*?)</loc>", (site / "sitemap.xml").read_text(encoding="utf8"))
    of_the_book = [name for name in PAGES if name.startswith("book/")]
    assert sorted(listed) == sorted(read(name).canonical[0] for name in of_the_book)
    assert f"Sitemap: {BOOK.site}/sitemap.xml" in (site / "robots.txt").read_text(encoding="utf8")


@every_chapter
def test_its_download_is_the_notebook_that_colab_opens(site: Path, chapter: str) -> None:
    download = site / "_sources" / "book" / f"{chapter}.ipynb"
    notebook = ROOT / "book" / f"{chapter}.ipynb"
    assert json.loads(download.read_text(encoding="utf8")) == json.loads(
        notebook.read_text(encoding="utf8")
    )
    assert f"_sources/book/{chapter}.ipynb" in (site / "book" / f"{chapter}.html").read_text()


@every_page
def test_a_page_waits_for_no_script_and_knows_when_a_file_is_new(
    read: Callable[[str], Read], name: str
) -> None:
    page = read(name)
    assert page.scripts
    assert [script["src"] for script in page.scripts if "defer" not in script] == []
    [style] = page.styles  # one file is all that a browser has to wait for
    files = [str(script["src"]) for script in page.scripts] + [style]
    assert [file for file in files if not re.search(r"\?v=[0-9a-f]{8}$", file)] == []
    assert "<style" not in page.text


@every_page
def test_folds_and_buttons_are_named_by_the_words_they_show(
    read: Callable[[str], Read], name: str
) -> None:
    text = read(name).text
    assert not re.search(r"<summary[^>]*aria-label", text)
    assert "document.write(" not in text
    assert 'class="btn search-button-field' in text


@every_page
def test_a_page_names_its_state_its_licence_and_how_to_cite(
    read: Callable[[str], Read], name: str
) -> None:
    text = read(name).text
    assert re.search(r"Version .*\d+\.\d+\.\d+, \d{4}-\d\d-\d\d", text)
    assert 'rel="license"' in text
    assert "about.html" in text


@every_page
def test_every_column_of_a_table_has_a_name(read: Callable[[str], Read], name: str) -> None:
    assert '<th scope="col"></th>' not in read(name).text


def test_the_search_looks_through_words_not_through_marks(site: Path) -> None:
    sections = (site / "_static" / "search_sections.js").read_text(encoding="utf8")
    assert "You see: " in sections  # the text of a line that is broken by hand
    assert "<br" not in sections


def test_nothing_is_published_that_no_page_is_made_of(site: Path) -> None:
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert pages == set(EVERY)
    for page in pages:
        assert "{%" not in re.sub(r"<pre>.*?</pre>", "", (site / page).read_text(), flags=re.S)


@pytest.mark.parametrize("name", sorted(BOOK.texts))
def test_a_link_says_where_it_leads(name: str) -> None:
    named = re.findall(r"(?<!!)\[([^\]\n]+)\]\(", BOOK.texts[name])
    vague = {"here", "there", "this", "this one", "another", "link", "click here", "more"}
    assert [words for words in named if words.strip().lower() in vague] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_scripts_a_page_is_light_and_has_its_size(
    chromium: Any, site: Path, scheme: str
) -> None:
    context = chromium.new_context(color_scheme=scheme, java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((site / "book" / f"{CHAPTERS[0]}.html").as_uri())
    assert page.locator("html").get_attribute("data-theme") == "light"
    style = "element => getComputedStyle(element)"
    assert page.locator("html").evaluate(f"{style}.fontSize") == "17px"
    code = page.locator(".highlight").first
    assert code.evaluate(f"{style}.color") != code.evaluate(f"{style}.backgroundColor")
    assert page.locator(".theme-switch-button:visible").count() == 0
    context.close()


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_the_page_to_keep_prints_on_one_side(paper: str, open_page: Callable[..., Any]) -> None:
    printed = open_page("book/cheat_sheet.html").pdf(format=paper)
    assert len(PdfReader(io.BytesIO(printed)).pages) == 1


def test_on_paper_a_fold_holds_its_code(open_page: Callable[..., Any]) -> None:
    """It was printed before it had faded in: an empty box below "Hide the content"."""
    printed = PdfReader(io.BytesIO(open_page("book/04_split_heads.html").pdf(format="A4")))
    text = "\n".join(page.extract_text() for page in printed.pages)
    assert "class SplitMultiHeadAttention(nn.Module)" in text
    assert "Hide the content" not in text
