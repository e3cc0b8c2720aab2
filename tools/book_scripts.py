"""Sphinx extension: one script for the book, as it has one style sheet.

A phone asks for each file anew. What every page loads is joined; what one page alone needs, such as
the search, stays apart.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from sphinx.application import Sphinx

BOOK = "book.js"
SCRIPT = re.compile(
    r'\s*<script defer="defer" src="(?P<up>[^"?]*?_static/)(?P<name>[^"?]+)[^"]*"></script>'
)


def names_in(text: str) -> list[str]:
    """Name the scripts that a page loads, in the order in which they run."""
    return [found["name"] for found in SCRIPT.finditer(text)]


def common(texts: Iterable[str]) -> list[str]:
    """Name the scripts that every page loads, those apart that an earlier build has joined."""
    apart = [names for text in texts if BOOK not in (names := names_in(text))]
    return [name for name in apart[0] if all(name in names for names in apart)] if apart else []


def join(static: Path, names: Iterable[str]) -> str:
    """Return the scripts as one."""
    return "\n;\n".join((static / name).read_text(encoding="utf8").strip() for name in names)


def load_one(text: str, names: Iterable[str], version: str) -> str:
    """Return a page that loads the joined script where it has loaded the first of `names`."""
    joined = {*names, BOOK}
    places = [found for found in SCRIPT.finditer(text) if found["name"] in joined]
    for found in reversed(places):
        first = found is places[0]
        tag = f'\n    <script defer="defer" src="{found["up"]}{BOOK}?v={version}"></script>'
        text = text[: found.start()] + (tag if first else "") + text[found.end() :]
    return text


def write_one_script(app: Sphinx, exception: Exception | None) -> None:
    """Replace what every page loads by one file, and remove the files that it is made of."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    # The root page is made anew of another.
    pages = [page for page in sorted(out.rglob("*.html")) if page != out / "index.html"]
    texts = {page: page.read_text(encoding="utf8") for page in pages}
    names = common(texts.values())
    if not names:  # nothing was written anew
        return
    script = join(out / "_static", names)
    (out / "_static" / BOOK).write_text(script, encoding="utf8")
    version = hashlib.sha256(script.encode()).hexdigest()[:8]
    for page, text in texts.items():
        page.write_text(load_one(text, names, version), encoding="utf8")
    for name in names:
        (out / "_static" / name).unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the scripts before the style sheets, which look up the names that scripts use."""
    app.connect("build-finished", write_one_script, priority=840)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
