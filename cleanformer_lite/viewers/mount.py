"""Mount one JavaScript module twice: as a live widget, and inside a page that has no kernel."""

import hashlib
import json
import sys
from html import escape
from pathlib import Path
from typing import Any

import anywidget

HERE = Path(__file__).parent
STYLE = (HERE / "shared.css").read_text(encoding="utf8")

PAGE = """<div class="viewer" data-viewer="{name}" role="group" aria-label="{title}">
<style>{style}</style>
<div class="viewer-static">{static}</div>
<script type="application/json">{state}</script>
</div>
<script type="module">
{script}
const root = document.querySelector('[data-viewer="{name}"]:not([data-mounted])');
if (root) {{
  root.dataset.mounted = "";
  const state = JSON.parse(root.querySelector("script").textContent);
  const listeners = {{}};
  const model = {{
    get: (name) => state[name],
    set(name, value) {{
      state[name] = value;
      (listeners["change:" + name] ?? []).forEach((listener) => listener());
    }},
    on: (event, listener) => (listeners[event] ??= []).push(listener),
    save_changes() {{}},
  }};
  root.viewerModel = model;
  viewer.render({{ model, el: root }});
  root.querySelector(".viewer-static").hidden = true;
}}
</script>"""


def script_of(*names: str) -> str:
    """Join JavaScript files to one ES module, with what all viewers share in front.

    Indents and comments stay behind: a page carries the script once for each viewer.
    """
    texts = [(HERE / f"{name}.js").read_text(encoding="utf8") for name in ("shared", *names)]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def style_of(name: str) -> str:
    """Return the style sheet that all viewers share, and after it one viewer's own."""
    return STYLE + (HERE / f"{name}.css").read_text(encoding="utf8")


class Viewer(anywidget.AnyWidget):
    """A picture that reacts: a widget where there is a kernel, a piece of HTML where there is none.

    Its synchronised traits, named in `shown`, are all that the JavaScript knows; both mounts run
    the same file on the same values. A subclass sets `_esm`, `title` and `shown`, and writes
    `static`, the text twin that is read where no JavaScript runs.
    """

    _css = STYLE
    title = ""
    shown: tuple[str, ...] = ()

    def static(self) -> str:
        """Return the twin as HTML: what the picture says, for readers without JavaScript."""
        raise NotImplementedError

    def page_state(self) -> dict[str, Any]:
        """Return what the JavaScript knows on a page, where it begins."""
        return {name: getattr(self, name) for name in self.shown}

    def page(self) -> str:
        """Return the viewer as HTML that needs no kernel, no server and no network."""
        state = json.dumps(
            self.page_state(),
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
        # The same content has the same name in every build; another content has another.
        content = f"{type(self).__name__}\n{state}\n{self._esm}"
        return PAGE.format(
            name=hashlib.sha256(content.encode()).hexdigest()[:12],
            title=escape(self.title),
            style=self._css,
            static=self.static(),
            # A word may look like markup: without "<" nothing in the data can close the script.
            state=state.replace("<", "\\u003c"),
            script=str(self._esm).replace("export default", "const viewer ="),
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Offer both mounts; a front end shows one of them.

        A live notebook ranks the widget above HTML, the built book is told to prefer HTML. Colab is
        not known to do either: there, where a kernel always runs, the widget alone is offered.
        """
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None or "google.colab" in sys.modules:
            return bundle
        data, metadata = bundle
        return {**data, "text/html": self.page()}, metadata


def table(caption: str, columns: list[str], lines: list[list[str]]) -> str:
    """Write a table as HTML; the first column names its row. All texts are escaped."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(line[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in line[1:])
        + "</tr>"
        for line in lines
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
