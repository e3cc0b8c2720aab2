"""Sphinx extension: formulas become MathML at build time, so that no page needs a script for it.

A bold Q, K or V takes the colour of query, key or value, as do the roles `q`, `k` and `v` in prose.
"""

import html
import unicodedata
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

LOGGER = logging.getLogger(__name__)
COLOURED = {"q": "query", "k": "key", "v": "value"}


def to_mathml(node: nodes.math | nodes.math_block, *, as_block: bool) -> str:
    """Translate one formula; where that fails, warn, which fails the build."""
    formula = node.astext().strip()
    try:
        return colour(str(tex2mathml(formula, as_block=as_block)))
    except MathError as error:
        LOGGER.warning("cannot write %r as MathML: %s", formula, error, location=node)
        return f"<code>{html.escape(formula)}</code>"


def colour(mathml: str) -> str:
    """Give each bold Q, K and V its class; the plain letter stays, which every font has."""
    for letter, kind in COLOURED.items():
        bold = unicodedata.lookup(f"MATHEMATICAL BOLD CAPITAL {letter}")
        coloured = f'<mi class="{kind}">{letter.upper()}</mi>'
        mathml = mathml.replace(f"<mi>{bold}</mi>", coloured)
    return mathml


def coloured_word(kind: str) -> Any:
    """Make the role that writes its text in the colour of query, key or value."""

    def role(
        name: str,
        raw: str,
        text: str,
        line: int,
        inliner: object,
        options: Any = (),
        content: Any = (),
    ) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        return [nodes.inline(raw, text, classes=[kind])], []

    return role


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(to_mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on its own line, with its number if it has a label."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(to_mathml(node, as_block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the roles, and the renderer that `html_math_renderer: mathml` names."""
    for letter, kind in COLOURED.items():
        app.add_role(letter, coloured_word(kind))
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
