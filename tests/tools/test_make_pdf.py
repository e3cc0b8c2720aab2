"""The PDF is bound from the pages that a reader sees, whole, and its links lead within it."""

from pathlib import Path
from typing import Any

import pytest
from book_sources import Book
from make_pdf import GAP, NAME, make_pdf, offer, pages_in_order
from pypdf import PdfReader, PdfWriter

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = "book/index", "book/04_split_heads"
BOOK = Book(ROOT / "book")
PAPER = """() => {
  const count = (selector, wanted = () => true) =>
    [...document.querySelectorAll(selector)].filter(e => e.checkVisibility() && wanted(e)).length;
  return [count("article pre", pre => pre.scrollWidth > pre.clientWidth + 1),
          count("[data-viewer] > :not(.viewer-static)"), count(".viewer-static"),
          count(".bd-sidebar, .bd-header-article, .copybtn")];
}"""


@pytest.fixture(scope="module")
def bound(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    if not (ROOT / "_build" / "html" / f"{SECOND}.html").exists():
        pytest.fail("no built book in _build/html: run `make book` first (`make test` does)")
    path = tmp_path_factory.mktemp("pdf") / NAME
    writer: PdfWriter = make_pdf(ROOT, [FIRST, SECOND], chromium)
    writer.write(path)
    return PdfReader(path)


def chapters(bound: PdfReader) -> dict[str, int]:
    """Each chapter's first sheet, by its title in the outline."""
    tops = [entry for entry in bound.outline if not isinstance(entry, list)]
    return {str(top.title): bound.get_destination_page_number(top) or 0 for top in tops}


def test_it_holds_cover_contents_and_pages_in_order(bound: PdfReader) -> None:
    cover, contents = (sheet.extract_text() for sheet in bound.pages[:2])
    assert "Contents" in contents
    assert "From one head to many" in cover
    (opening, first), (chapter, second) = chapters(bound).items()
    assert opening == BOOK.title("index")
    assert chapter == f"4. {BOOK.title('04_split_heads')}"
    assert first == 2
    # Sheets are numbered from the first page after the contents on, through all chapters.
    assert bound.pages[second].extract_text().splitlines()[:2] == [str(second - 1), chapter]
    assert f"{chapter} {second - 1}" in contents


def test_its_links_lead_within_it_or_to_the_web(bound: PdfReader) -> None:
    _, second = chapters(bound).values()
    inside, outside = [], []
    for sheet in bound.pages:
        for annotation in sheet.get("/Annots", []):
            link = annotation.get_object()
            if "/URI" in link.get("/A", {}):
                outside.append(str(link["/A"]["/URI"]))
            elif isinstance(link.get("/Dest"), list):
                inside.append(link["/Dest"][0])
    assert bound.pages[second].indirect_reference in inside
    assert outside
    assert [uri for uri in outside if not uri.startswith("https://")] == []


def test_on_paper_code_is_whole_and_viewers_are_told(chromium: Any) -> None:
    page = chromium.new_page(viewport={"width": 660, "height": 900})  # about a sheet's width
    page.goto((ROOT / "_build" / "html" / f"{SECOND}.html").as_uri())
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    cut, live, told, around = page.evaluate(PAPER)
    assert (cut, live, around) == (0, 0, 0)
    assert told > 0
    assert page.locator("article details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("article details:not([open])").count() > 0
    page.close()


def test_dark_pages_are_printed_in_ink(chromium: Any) -> None:
    page = chromium.new_page(color_scheme="dark")
    page.goto((ROOT / "_build" / "html" / f"{FIRST}.html").as_uri())
    colour = "getComputedStyle(document.querySelector('article p')).color"
    on_screen = page.evaluate(colour)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    in_ink = page.evaluate(colour)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(colour) == on_screen != in_ink
    page.close()


def test_the_table_of_contents_gives_the_order() -> None:
    names = pages_in_order(ROOT)
    assert names[0] == "book/index"
    assert names.index("book/01_single_head") < names.index("book/07_transformer")
    assert all((ROOT / f"{name}.md").exists() for name in names)


def test_pages_offer_it_once_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    for name in ("index.html", "book/a.html"):
        (tmp_path / name).write_text(f"<p>{GAP}</p>")
    offer(tmp_path)
    assert f'href="{NAME}"' in (tmp_path / "index.html").read_text()
    assert f'href="../{NAME}"' in (tmp_path / "book" / "a.html").read_text()
