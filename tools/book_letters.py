"""Sphinx extension: the letters of the sizes explain themselves, wherever they stand in prose.

`book/notation.md` says what they mean. A browser without JavaScript shows it as a tooltip;
`book/_static/letters.js` shows it to keyboards and fingers too, and in formulas.
"""

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from html_tags import Tag, add_tags, make
from sphinx.application import Sphinx

ROW = re.compile(r"^\| ([A-Z]) \| ([^|]+) \| ([^|]+) \|$", re.M)
# Headings, links, code in blocks and what becomes a button keep their letters to themselves.
LEFT_ALONE = (
    nodes.title, nodes.reference, nodes.literal_block, nodes.raw, nodes.citation, nodes.math,
    nodes.math_block, nodes.comment, nodes.image, nodes.system_message, nodes.target,
)  # fmt: skip
BUTTONS = ("li", "summary", "button")


def read_letters(notation: str) -> dict[str, str]:
    """Return what each letter of the notation's table means, in plain words.

    Raises: ValueError if there is no such table.
    """
    found = {
        letter: f"{name.strip().strip('`')}: {meaning.strip()}"
        for letter, name, meaning in ROW.findall(notation)
    }
    if not found:
        raise ValueError("wanted a table of letters in the notation, found none")
    return found


def parts(text: str, letters: dict[str, str]) -> list[nodes.Node]:
    """Part a text at its letters: those that stand alone, not in `H's`, `N-gram` or `x.D`."""
    single = re.compile(rf"(?<![\w.'’-])([{''.join(letters)}])(?![\w'’-])")
    found: list[nodes.Node] = []
    for at, piece in enumerate(single.split(text)):
        if at % 2:
            found.append(make("abbr", nodes.Text(piece), classes="letter", title=letters[piece]))
        elif piece:
            found.append(nodes.Text(piece))
    return found


def may_explain(text: nodes.Text) -> bool:
    """Tell whether a letter in this text may react: nothing around it does so already."""
    node = text.parent
    while node is not None:
        if isinstance(node, LEFT_ALONE) or node.tagname == "pending_xref":
            return False
        if isinstance(node, Tag) and node["tag"] in BUTTONS:
            return False
        if isinstance(node, nodes.container) and node.get("nb_element"):
            return False
        node = node.parent
    return True


def explain_letters(app: Sphinx, document: nodes.document) -> None:
    """Mark the letters of one page."""
    letters = read_letters(Path(app.srcdir, app.config.book_notation).read_text(encoding="utf8"))
    for text in [text for text in document.findall(nodes.Text) if may_explain(text)]:
        found = parts(str(text), letters)
        if any(isinstance(part, Tag) for part in found):
            text.parent.replace(text, found)


def hand_over(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Give the script the meanings, for letters in formulas, which have no tooltip."""
    if tree is not None:
        letters = read_letters(Path(app.srcdir, app.config.book_notation).read_text("utf8"))
        app.add_js_file(
            None, body=json.dumps(letters), type="application/json", id="letters", priority=100
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Mark letters once a page is read; its predictions are in place by then."""
    add_tags(app)
    app.add_config_value("book_notation", "book/notation.md", "env", [str])
    app.connect("doctree-read", explain_letters, priority=800)
    app.connect("html-page-context", hand_over)
    app.add_js_file("letters.js", loading_method="defer")
    app.add_css_file("letters.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
