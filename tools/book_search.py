"""Sphinx extension: what the search of the book looks through, section by section."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SCRIPTS = ["search_sections.js", "minisearch.min.js", "search.js"]
# What Sphinx writes for its own search, which looks through whole pages and cannot tell them apart.
REPLACED = ["searchindex.js", "_static/searchtools.js", "_static/language_data.js"]
TEXTS = (nodes.paragraph, nodes.literal_block, nodes.term, nodes.caption)


def section_of(node: nodes.Node) -> nodes.Node:
    """Return the innermost section that holds a node."""
    while not isinstance(node, nodes.section | nodes.document):
        node = node.parent
    return node


def text_of(node: nodes.Element) -> str:
    """Return a node's text, a space where a line is broken by hand."""
    parts = node.findall(lambda part: isinstance(part, nodes.Text | nodes.raw))
    texts = [part for part in parts if not isinstance(part.parent, nodes.raw)]
    return "".join(" " if isinstance(part, nodes.raw) else part.astext() for part in texts)


def read_sections(doctree: nodes.document) -> Iterator[tuple[str, str, str]]:
    """Yield anchor, heading and text of every section, without the sections inside of it."""
    texts: dict[nodes.Node, list[str]] = {}
    for node in doctree.findall(lambda node: isinstance(node, TEXTS)):
        if "mime_type" in node.parent and len(node.parent.parent.children) > 1:
            continue  # what a terminal would print instead of a picture
        texts.setdefault(section_of(node), []).append(text_of(node))
    for section in doctree.findall(nodes.section):
        title = section.next_node(nodes.title)
        anchor = "" if isinstance(section.parent, nodes.document) else section["ids"][0]
        text = " ".join(" ".join(texts.get(section, [])).split())
        yield anchor, title.astext() if title else "", text


def number(app: Sphinx, page: str, anchor: str) -> str:
    """Return a section's number with a dot and a space, or ''."""
    numbers: dict[str, Any] = getattr(app.env, "toc_secnumbers", {}).get(page, {})
    found = numbers.get(f"#{anchor}" if anchor else "", ())
    return ".".join(map(str, found)) + (". " if found else "")


def write_sections(app: Sphinx) -> list[Any]:
    """Write every section as data that a page loads from a file as well as from a server."""
    sections = []
    for page in sorted(app.env.found_docs):
        title = ""
        for anchor, heading, text in read_sections(app.env.get_doctree(page)):
            numbered = number(app, page, anchor) + heading
            title = title or numbered
            section = {"page": page, "anchor": anchor, "title": title, "heading": numbered}
            sections.append(section | {"text": text})
    file = Path(app.outdir) / "_static" / SCRIPTS[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(sections, ensure_ascii=False, separators=(",", ":"))
    file.write_text(f"const SECTIONS = {data};\n", encoding="utf8")
    return []  # pages besides those of the book


def load_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Have the page of results, and no other, load what the search needs."""
    if template == "search.html":
        for name in SCRIPTS:
            app.add_js_file(name, priority=600)


def drop_what_is_replaced(app: Sphinx, exception: Exception | None) -> None:
    """Remove the files of Sphinx's own search."""
    if exception is None and app.builder.format == "html":
        for name in REPLACED:
            (Path(app.outdir) / name).unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the sections once all pages have been read, before the first is written."""
    app.connect("html-collect-pages", write_sections)
    app.connect("html-page-context", load_scripts)
    app.connect("build-finished", drop_what_is_replaced)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
