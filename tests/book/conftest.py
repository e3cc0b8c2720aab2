"""The built book, opened from its files in a Chromium that has no network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("[0-9]*.md"))
PAGES = [
    *(
        path.relative_to(ROOT).with_suffix(".html").as_posix()
        for path in sorted((ROOT / "book").rglob("*.md"))
    ),
    "genindex.html",
    "search.html",
]


@dataclass
class Opened:
    """A page in the browser, with everything it asked for and complained of."""

    page: Any
    asked: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("requestfailed", lambda request: self.missing.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


Open = Callable[..., Opened]


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


@pytest.fixture
def open_page(site: Path, new_page: Callable[[int, str], Any]) -> Iterator[Open]:
    """Open a page of the site for one test, which may do to it what it likes."""
    pages: list[Any] = []

    def opened(name: str, *, width: int = 1280, scheme: str = "light") -> Opened:
        result = Opened(new_page(width, scheme))
        pages.append(result.page)
        result.listen()
        file, _, query = name.partition("?")
        result.page.goto((site / file).as_uri() + (f"?{query}" if query else ""))
        return result

    yield opened
    for page in pages:
        page.close()


@pytest.fixture(scope="session")
def look_at(site: Path, new_page: Callable[[int, str], Any]) -> Open:
    """Open a page once for all the tests that only look at it."""
    seen: dict[tuple[str, int, str], Opened] = {}

    def looked(name: str, *, width: int = 1280, scheme: str = "light") -> Opened:
        key = (name, width, scheme)
        if key not in seen:
            seen[key] = Opened(new_page(width, scheme))
            seen[key].listen()
            seen[key].page.goto((site / name).as_uri())
            seen[key].page.wait_for_timeout(200)
        return seen[key]

    return looked
