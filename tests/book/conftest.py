"""The built book, opened from its files in a Chromium that has no network."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("[0-9]*.md"))
PAGES = [
    *(f"book/{path.stem}.html" for path in sorted((ROOT / "book").glob("*.md"))),
    "genindex.html",
    "search.html",
]

sys.path.insert(0, str(ROOT / "tools"))


@dataclass
class Opened:
    """A page in the browser, with everything it asked for and complained of."""

    page: Any
    elsewhere: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    size: int = 0

    def listen(self) -> None:
        self.page.on("request", self._request)
        self.page.on("requestfailed", lambda request: self.missing.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.elsewhere.append(request.url)

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
def chromium() -> Iterator[Any]:
    from find_browser import ADVICE, find_browser
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if path is None:
        pytest.fail(f"no browser. {ADVICE}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(site: Path, chromium: Any) -> Iterator[Open]:
    """Open a page of the site, `width` pixels wide, light or dark, the network off."""
    contexts = []

    def opened(name: str, *, width: int = 1280, scheme: str = "light", **more: Any) -> Opened:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, **more
        )
        contexts.append(context)
        result = Opened(context.new_page())
        result.listen()
        result.page.goto((site / name).as_uri() if "://" not in name else name)
        return result

    yield opened
    for context in contexts:
        context.close()
