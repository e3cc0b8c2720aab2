"""bertviz's head view, made to work wherever HTML does: nothing comes from the network."""

import hashlib
import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from torch import Tensor

from cleanformer_lite.viewers.weights import check_weights

HERE = Path(__file__).parent
SCRIPT = re.compile(r'<script type="text/javascript">\n(.*)\n</script>', re.S)
PARAMETERS = "const params = "

PAGE = """<div data-head-view="{name}" role="group" aria-label="{title}">
<style>
{style}</style>
<p><strong>{title}</strong><br>{help}</p>
<noscript>The picture needs JavaScript; the table below does not.</noscript>
<div id="vis" class="vis"></div>
<details><summary>The weights as a table</summary>
<div class="weights" role="region" aria-label="Weights" tabindex="0">{tables}</div></details>
</div>
<script>
{script}
</script>"""
HELP = (
    "Lines run from each query (left) to the keys it attends to (right). "
    '<span class="hands">A square switches its head; double-click, or Shift+Enter, shows that head '
    "alone. Point at a word, or use the arrow keys, to follow one word.</span>"
)


def head_view(
    weights: Tensor,
    tokens: Sequence[str],
    *,
    key_tokens: Sequence[str] | None = None,
    title: str = "Attention, head by head",
) -> Any:
    """Show each head's weights as lines between the words, with heads to switch on and off.

    The same call works in Jupyter, in Colab and on the published page, with the network off.

    Shapes: weights `(H, L, S)` or `(1, H, L, S)`, tokens L, key_tokens S -> an IPython HTML object.

    Raises: ValueError if shapes and tokens do not fit together.

    Source: Vig (2019), "A Multiscale Visualization of Attention in the Transformer Model".
    """
    from IPython.display import HTML

    weights, queries, keys = check_weights(weights, tokens, key_tokens)
    weights = weights.round(decimals=4)
    drawing = bertviz_script(weights, queries, None if key_tokens is None else keys)
    name = hashlib.sha256(f"{title}\n{drawing}".encode()).hexdigest()[:12]
    page = PAGE.format(
        name=name,
        title=escape(title),
        help=HELP,
        style=(HERE / "head_view.css").read_text(encoding="utf8"),
        tables="\n".join(table(h, head.tolist(), queries, keys) for h, head in enumerate(weights)),
        script=whole_script(name, drawing, [*queries, *keys]),
    )
    return HTML(page)  # type: ignore[no-untyped-call]


def bertviz_script(weights: Tensor, queries: list[str], keys: list[str] | None) -> str:
    """Return bertviz's own script for these weights, safe inside a script element."""
    import bertviz

    layers = [weights[None]]
    made = bertviz.head_view(
        **(
            {"attention": layers, "tokens": queries}
            if keys is None
            else {"cross_attention": layers, "decoder_tokens": queries, "encoder_tokens": keys}
        ),
        html_action="return",
    ).data
    # Its container has a random name, which would make every build of a page differ.
    made = re.sub(r"bertviz-[0-9a-f]{32}", "head-view", made)
    found = SCRIPT.search(made)
    if found is None or PARAMETERS not in found[1]:
        raise RuntimeError("bertviz writes its script in another way than 1.4 does")
    script = found[1]
    # It writes the data twice, the second time into the comment that ends the line: one will do.
    start = script.index(PARAMETERS) + len(PARAMETERS)
    data, end = json.JSONDecoder().raw_decode(script, start)
    # A word may look like markup: without "<" nothing in the data can close the script.
    safe = json.dumps(data, separators=(",", ":")).replace("<", r"\u003c")
    rest = script[script.index("\n", end) :]
    return script[:start] + safe + ";" + spread_out(named_by_class(rest))


def spread_out(script: str) -> str:
    """Let bertviz draw as wide as the frame says, and many heads' lines as dark."""
    for ours, theirs in (
        ("BOXWIDTH = wide;", "BOXWIDTH = 110;"),
        ("BOXHEIGHT = 28;", "BOXHEIGHT = 22.5;"),
        ("MATRIX_WIDTH = full - 2 * wide;", "MATRIX_WIDTH = 115;"),
        ("return 0.85 * d", "return d / activeHeads()"),
    ):
        script = replace_once(script, theirs, ours)
    return script


def replace_once(script: str, theirs: str, ours: str) -> str:
    """Replace a piece of bertviz's script.

    Raises: RuntimeError if it is not there.
    """
    if theirs not in script:
        raise RuntimeError("bertviz writes its script in another way than 1.4 does")
    return script.replace(theirs, ours)


def named_by_class(script: str) -> str:
    """Let bertviz name its parts by class: ids would stand twice on a page with two views."""
    for by_id, by_class in (
        ('.attr("id", isLeft', '.attr("class", isLeft'),
        ('.attr("id", "attention")', '.attr("class", "attention")'),
        ('"#attention"', '".attention"'),
        ('svg.select("#" + id)', 'svg.select("." + id)'),
    ):
        script = replace_once(script, by_id, by_class)
    return script


def whole_script(name: str, drawing: str, words: list[str]) -> str:
    """Put bertviz's script and the library it draws with into the frame that head_view.js is."""
    longest = str(max(map(len, words)))
    d3 = (HERE / "d3-selection.min.js").read_text(encoding="utf8")
    frame = (HERE / "head_view.js").read_text(encoding="utf8")
    for place, text in (("NAME", name), ("LONGEST", longest), ("D3", d3), ("BERTVIZ", drawing)):
        frame = frame.replace(f"/*@{place}@*/", text)
    return frame


def table(head: int, weights: list[list[float]], queries: list[str], keys: list[str]) -> str:
    """Write one head's weights as the picture's text twin."""
    columns = "".join(f'<th scope="col">{escape(key)}' for key in keys)
    lines = "".join(
        f'<tr><th scope="row">{escape(query)}' + "".join(f"<td>{weight:.2f}" for weight in line)
        for query, line in zip(queries, weights, strict=True)
    )
    return f"<table><caption>head {head}</caption><tr><td>{columns}{lines}</table>"
