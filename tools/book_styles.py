"""Sphinx extension: one style sheet for the book, without the rules that nothing in it needs.

The theme brings Bootstrap whole, and every extension a file of its own, all of which a browser has
to read before it draws. A rule of theirs stays if each element, class and id that it names stands
in some page or as a word in some script; our own rules all stay.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, normpath, relpath
from posixpath import join as join_path
from typing import Any

import tinycss2
from sphinx.application import Sphinx

from cleanformer_lite.viewers import mount

BOOK = "_static/book.css"
LINK = re.compile(
    r'\s*<link (?:media="(\w+)" )?rel="stylesheet"[^>]*href="([^"]*?)(?:\?[^"]*)?" />'
)
FILE = re.compile(r"""url\(\s*["']?(?!data:|#|[a-z]+:|/)([^"')\s]+)["']?\s*\)""")
WORD = re.compile(r"-{0,2}[A-Za-z_][\w-]*")
CONDITIONS = ("media", "supports", "container", "layer")
VARIABLE = re.compile(r"""(?<=[{;])\s*(--bs-[\w-]+)\s*:(?:[^;{}"']|"[^"]*"|'[^']*')*(?:;|(?=}))""")


class Names(HTMLParser):
    """Every element, class and id of the pages, and every word of their scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.in_script = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note an element with its classes and its id."""
        self.in_script = tag == "script"
        self.found.add(tag)
        for name, value in attributes:
            if name in ("class", "id"):
                self.found |= set((value or "").split())

    def handle_data(self, data: str) -> None:
        """Note the words of a script."""
        if self.in_script:
            self.found |= set(WORD.findall(data))

    def handle_endtag(self, tag: str) -> None:
        """Note that a script has ended."""
        self.in_script = False


def read_names(out: Path) -> set[str]:
    """Return every name that a rule may be about, from the built pages and their scripts."""
    names = Names()
    for page in sorted(out.rglob("*.html")):
        names.feed(page.read_text(encoding="utf8"))
    for script in sorted((out / "_static").rglob("*.js")):
        if script.name != "search_sections.js":  # prose
            names.found |= set(WORD.findall(script.read_text(encoding="utf8")))
    return names.found


def split_at_commas(tokens: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield each selector of a list."""
    selector: list[Any] = []
    for token in tokens:
        if token == ",":
            yield selector
            selector = []
        else:
            selector.append(token)
    yield selector


def names_in(selector: Iterable[Any]) -> Iterator[str]:
    """Yield the elements, classes and ids that a selector asks for, those of `:is()` apart."""
    before = " "
    for token in selector:
        if token.type == "hash" or (token.type == "ident" and before == "."):
            yield token.value
        elif token.type == "ident" and before in " >+~":
            yield token.lower_value
        kind = token.type
        before = token.value if kind == "literal" else " " if kind == "whitespace" else "name"


def purge(rules: Iterable[Any], names: set[str]) -> Iterator[str]:
    """Yield the rules that something may need, those within conditions too."""
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [
                tinycss2.serialize(selector).strip()
                for selector in split_at_commas(rule.prelude)
                if all(name in names for name in names_in(selector))
            ]
            if selectors:
                body = re.sub(r"\s+", " ", tinycss2.serialize(rule.content)).strip()
                yield f"{', '.join(selectors)} {{{body}}}"
        elif rule.type == "at-rule" and rule.lower_at_keyword in CONDITIONS and rule.content:
            inner = "\n".join(purge(tinycss2.parse_rule_list(rule.content, True, True), names))
            if inner:
                yield f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inner}}}"
        elif rule.type == "at-rule" and rule.lower_at_keyword != "charset":
            yield rule.serialize()
        elif rule.type == "error":
            raise ValueError(f"wanted a style sheet, got one with {rule.message}")


def drop_unused_variables(css: str, names: set[str]) -> str:
    """Remove what Bootstrap defines and nothing reads, and what only that has read."""
    kept, css = css, ""
    while kept != css:
        css = kept
        unread = {name for name in VARIABLE.findall(css) if f"var({name}" not in css} - names
        kept = VARIABLE.sub(partial(keep_unless, unread), css)
    return css


def keep_unless(unread: set[str], found: re.Match[str]) -> str:
    """Return a definition as it stands, or nothing if nobody reads the variable."""
    return "" if found[1] in unread else found[0]


def viewers_styles() -> Iterator[str]:
    """Yield the style sheets of the viewers, the shared one first: their pages leave them out."""
    yield mount.STYLE
    for path in sorted(mount.HERE.glob("*.css")):
        if path.name != "shared.css":
            yield path.read_text(encoding="utf8")


def lead_from_book(css: str, name: str) -> str:
    """Return a style sheet whose files are named as they are seen from the book's own."""

    def led(found: re.Match[str]) -> str:
        return f'url("{relpath(normpath(join_path(dirname(name), found[1])), dirname(BOOK))}")'

    return FILE.sub(led, css)


def join(out: Path, links: Iterable[tuple[str, str]], own: set[str]) -> str:
    """Return one style sheet: the linked ones in their order, then the viewers', paper last."""
    names = read_names(out)
    theirs, ours, paper = [], [], []
    for media, name in links:
        css = lead_from_book((out / name).read_text(encoding="utf8"), name)
        if Path(name).name not in own:
            theirs.append("\n".join(purge(tinycss2.parse_stylesheet(css, True, True), names)))
        elif media:
            paper.append(f"@media {media} {{\n{css}}}")
        else:
            ours.append(css)
    return drop_unused_variables("\n".join([*theirs, *ours, *viewers_styles(), *paper]), names)


def write_one_style_sheet(app: Sphinx, exception: Exception | None) -> None:
    """Replace the links of every page by one, and remove the files that they led to."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    own = {path.name for path in (Path(app.confdir) / "book" / "_static").glob("*.css")}
    texts = {page: page.read_text(encoding="utf8") for page in sorted(out.rglob("*.html"))}
    links: dict[tuple[str, str], None] = {}  # a set that keeps its order
    for page, text in texts.items():
        folder = page.parent.relative_to(out).as_posix()
        for media, link in LINK.findall(text):
            links[media, normpath(f"{folder}/{link}").removeprefix("../")] = None
    written = [(media, name) for media, name in links if (out / name).exists() and name != BOOK]
    if not written:
        return
    css = join(out, written, own)
    (out / BOOK).write_text(css, encoding="utf8")
    version = hashlib.sha256(css.encode()).hexdigest()[:8]
    for page, text in texts.items():
        first = LINK.search(text)
        if first is None:
            continue
        to = re.sub(r"_static/.*", "", first[2]) + f"{BOOK}?v={version}"
        link = f'\n  <link rel="stylesheet" href="{to}" />'
        text = text[: first.start()] + link + LINK.sub("", text[first.start() :])
        page.write_text(text, encoding="utf8")
    for _, name in written:
        (out / name).unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the style sheets once the pages are written and before the root page is made of one."""
    app.connect("build-finished", write_one_style_sheet, priority=850)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
