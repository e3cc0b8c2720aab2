"""HTML elements in a page's tree, for what docutils has no node of its own."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


class Tag(nodes.General, nodes.Element):  # type: ignore[misc]
    """One HTML element: `tag` and its attributes, in `shown`."""


def make(tag: str, *children: nodes.Node, classes: str = "", **shown: str) -> Tag:
    """Make an element; an underscore in an attribute's name stands for a hyphen."""
    attributes = {name.strip("_").replace("_", "-"): text for name, text in shown.items()}
    return Tag("", *children, tag=tag, shown=attributes, classes=classes.split())


def visit_tag(translator: HTML5Translator, node: Tag) -> None:
    """Open the element."""
    translator.body.append(translator.starttag(node, node["tag"], "", **node["shown"]))


def depart_tag(translator: HTML5Translator, node: Tag) -> None:
    """Close it."""
    translator.body.append(f"</{node['tag']}>")


def add_tags(app: Sphinx) -> None:
    """Let pages hold such elements; other formats show what is in them."""
    nothing = (lambda *_: None, lambda *_: None)
    app.add_node(Tag, override=True, html=(visit_tag, depart_tag), latex=nothing, text=nothing)
