"""The built book, opened from its files in a Chromium that has no network."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from book_sources import Book

from tests.book.looking import Seen, draw_viewers, look

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
CHAPTERS = Book(ROOT / "book").chapters
PAGES = [
    *(
        path.relative_to(ROOT).with_suffix(".html").as_posix()
        for path in sorted((ROOT / "book").rglob("*.md"))
    ),
    "search.html",
]
Open = Callable[..., Any]
LookAt = Callable[..., Seen]


@pytest.fixture(scope="session")
def site() -> Path:
    if not (HTML / "index.html").exists():
        pytest.fail("no built book in _build/html: run `make book` first (`make test` does)")
    return HTML


@pytest.fixture(scope="session")
def new_page(chromium: Any) -> Callable[[int, str], Any]:
    """Make an empty page, `width` pixels wide, light or dark, with the network off."""
    contexts: dict[tuple[int, str], Any] = {}

    def made(width: int, scheme: str) -> Any:
        if (width, scheme) not in contexts:
            contexts[width, scheme] = chromium.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
            )
        return contexts[width, scheme].new_page()

    return made


@pytest.fixture(scope="module")
def open_page(site: Path, new_page: Callable[[int, str], Any]) -> Iterator[Open]:
    """Open a page of the site, drawn, which the tests of one module may do to what they like."""
    pages: list[Any] = []

    def opened(name: str) -> Any:
        while pages:  # the one before has been used
            pages.pop().close()
        pages.append(new_page(1280, "light"))
        file, _, query = name.partition("?")
        pages[0].goto((site / file).as_uri() + (f"?{query}" if query else ""))
        draw_viewers(pages[0])
        return pages[0]

    yield opened
    for page in pages:
        page.close()


@pytest.fixture(scope="session")
def look_at(site: Path, new_page: Callable[[int, str], Any]) -> LookAt:
    """Visit a page once, for all the tests that only look at it, and close it."""
    seen: dict[tuple[str, int, str], Seen] = {}

    def looked(name: str, *, width: int = 1280, scheme: str = "light") -> Seen:
        key = (name, width, scheme)
        if key not in seen:
            page = new_page(width, scheme)
            try:
                seen[key] = look(page, (site / name).as_uri())
            finally:
                page.close()
        return seen[key]

    return looked
