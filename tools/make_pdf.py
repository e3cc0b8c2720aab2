"""Make one PDF of the built book, printed from its pages by the browser that also tests them."""

import html
import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from book_sources import Book
from build_book import EVERYTHING
from find_browser import KINDS, find_browser
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, NameObject, NullObject, TextStringObject
from revision import read_revision
from sphinx_external_toc.parsing import parse_toc_yaml
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
NAME = "from_one_head_to_many.pdf"
# book/_templates/extra-footer.html holds this where the link will stand.
GAP = "<!-- the book as one PDF -->"
LINK = '<a class="whole-book" href="{up}' + NAME + '">The book as one PDF</a>.'
COVER = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>
@page {{ size: A4; margin: 25mm 22mm; }}
body {{ font: 11pt/1.5 sans-serif; }}
h1 {{ font-size: 34pt; line-height: 1.15; margin: 30mm 0 6mm; }}
.card {{ width: 100%; margin: 10mm 0; }}
.contents {{ break-before: page; }}
.contents li {{ display: flex; gap: 1em; border-bottom: 0.5pt dotted #888; padding: 0.8mm 0; }}
.contents a {{ color: inherit; text-decoration: none; }}
.contents li span {{ margin-left: auto; }}
ol {{ list-style: none; padding: 0; }}
</style>
<h1>{title}</h1><p>{description}</p><img class="card" src="{card}" alt="">
<p>{author}<br>Version {revision}<br>{site}/</p>
<p>Text and pictures: CC BY 4.0. Code: MIT.</p>
<div class="contents"><h2>Contents</h2><ol>{contents}</ol></div></html>"""
LOAD_VIEWERS = "load-viewers"  # book/_static/viewers.js waits for the reader, or for this
ALL_DRAWN = (
    "!document.querySelector(':is([data-loads], [data-due]):not([data-mounted], [data-drawn])')"
)
SETTINGS = {"prefer_css_page_size": True, "print_background": True, "tagged": True}


def lacks_korean() -> bool:
    """Say whether this machine has fonts, but none with the letters of the Korean dates."""
    if shutil.which("fc-list") is None:
        return False
    found = subprocess.run(["fc-list", ":lang=ko"], capture_output=True, text=True, check=False)
    return not found.stdout.strip()


def pages_in_order(root: Path) -> list[str]:
    """Name the pages as the table of contents has them, and then the solutions of each chapter."""
    listed = [str(name) for name in parse_toc_yaml(root / "_toc.yml")]
    words = (Path(name).name.partition("_")[2] for name in listed)
    solutions = (f"book/solutions/{word}" for word in words)
    return listed + [name for name in solutions if (root / f"{name}.md").exists()]


def title_of(page: Any) -> str:
    """Return the page's first heading with its number, without its own link."""
    return " ".join(page.locator("h1").first.inner_text().removesuffix("#").split())


def print_page(page: Any, file: Path, first: int) -> tuple[str, bytes]:
    """Print one page of the book, its sheets numbered from `first` on; return title and PDF."""
    page.goto(file.as_uri())
    page.wait_for_load_state("load")
    page.evaluate(f"document.dispatchEvent(new Event('{LOAD_VIEWERS}'))")
    page.wait_for_function(ALL_DRAWN)
    page.add_style_tag(content=f"html {{ counter-reset: page {first - 1}; }}")
    return title_of(page), page.pdf(outline=True, **SETTINGS)


def print_cover(page: Any, root: Path, contents: list[tuple[str, str, int]]) -> bytes:
    """Print what stands in front: title, state, licence, contents."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf8"))
    lines = [
        f'<li><a href="{address}">{html.escape(title)}</a><span>{number}</span></li>'
        for address, title, number in contents
    ]
    cover = COVER.format(
        title=html.escape(config["title"]),
        description=html.escape(config["sphinx"]["config"]["html_context"]["description"]),
        author=html.escape(config["author"]),
        revision=html.escape(str(read_revision(root, EVERYTHING))),
        site=Book(root / "book").site,
        card=(root / "_build" / "html" / "_static" / "card.png").as_uri(),
        contents="".join(lines),
    )
    file = root / "_build" / "cover.html"
    file.write_text(cover, encoding="utf8")
    page.goto(file.as_uri())
    file.unlink()
    return bytes(page.pdf(**SETTINGS))


def lead_links(writer: PdfWriter, site: Path, starts: dict[str, int], address: str) -> None:
    """Have links between pages lead within the PDF, and others to where the book is published."""
    for sheet in writer.pages:
        for annotation in sheet.get("/Annots", []):
            link = annotation.get_object()
            uri = str(link.get("/A", {}).get("/URI", ""))
            if not uri.startswith("file:"):
                continue
            parts = urlsplit(uri)
            name = Path(unquote(parts.path)).relative_to(site).as_posix()
            if name in starts:
                del link["/A"]
                top = [NameObject("/XYZ"), NullObject(), NullObject(), NullObject()]
                page = writer.pages[starts[name]].indirect_reference
                link[NameObject("/Dest")] = ArrayObject([page, *top])
            else:
                link["/A"][NameObject("/URI")] = TextStringObject(f"{address}/{name}")


def bind(cover: bytes, printed: dict[str, tuple[str, bytes]], site: Path, book: Book) -> PdfWriter:
    """Put cover and pages into one PDF with one outline, whose links lead within it."""
    writer = PdfWriter()
    writer.append(io.BytesIO(cover))
    starts = {}
    for name, (title, content) in printed.items():
        starts[f"{name}.html"] = len(writer.pages)
        writer.append(io.BytesIO(content), outline_item=title)
    lead_links(writer, site, starts, book.site)
    return writer


def offer(site: Path) -> None:
    """Link the PDF from every page."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf8")
        up = "../" * (len(page.relative_to(site).parts) - 1)
        if GAP in text:
            page.write_text(text.replace(GAP, LINK.format(up=up)), encoding="utf8")


def make_pdf(root: Path, names: list[str], browser: Any) -> PdfWriter:
    """Print the pages `names` of the built book at `root`, and bind them."""
    site, book = root / "_build" / "html", Book(root / "book")
    page = browser.new_page(color_scheme="light", offline=True)
    printed: dict[str, tuple[str, bytes]] = {}
    contents: list[tuple[str, str, int]] = []
    first = 1
    for name in tqdm(names, desc="printing", unit="page"):
        file = site / f"{name}.html"
        printed[name] = print_page(page, file, first)
        contents.append((file.as_uri(), printed[name][0], first))
        first += len(PdfReader(io.BytesIO(printed[name][1])).pages)
    return bind(print_cover(page, root, contents), printed, site, book)


def main() -> int:
    """Write the PDF beside the pages, and link it from them."""
    from playwright.sync_api import sync_playwright

    site = ROOT / "_build" / "html"
    path = find_browser("chromium")
    if path is None:
        print(f"The PDF is printed by Chromium. {KINDS['chromium'].advice}", file=sys.stderr)
        return 1
    if lacks_korean():
        print(
            "No font here has Korean letters: they are printed as boxes, their reading beside them."
            " On Debian and Ubuntu: apt install fonts-noto-cjk",
            file=sys.stderr,
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        writer = make_pdf(ROOT, pages_in_order(ROOT), browser)
        browser.close()
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
    writer.add_metadata({"/Title": config["title"], "/Author": config["author"]})
    writer.compress_identical_objects()
    writer.write(site / NAME)
    offer(site)
    print(f"The book as one PDF, {len(writer.pages)} pages: {(site / NAME).as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
