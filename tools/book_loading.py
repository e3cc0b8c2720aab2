"""Sphinx extension: a page is read before it is played with, so viewers load when they are near.

In a notebook a viewer stands whole in its output. Here its style goes into the book's own sheet,
its script and large data into files, which `book/_static/viewers.js` loads when the reader comes
near. The first viewer of a page stands where reading begins: it keeps its room until it is drawn.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

import minify
from book_styles import viewers_styles
from sphinx.application import Sphinx

FOLDER = "_static/viewers"
LARGE = 8_000  # characters of data that a page can carry
VIEWER = re.compile(
    r'(?P<open><div class="viewer" data-viewer="(?P<name>\w+)")(?P<rest>[^>]*>)\n'
    r"<style>(?P<style>.*?)</style>\n(?P<static>.*?)\n"
    r'<script type="application/json">(?P<data>.*?)</script>\n</div>\n'
    r'<script type="module">\n(?P<script>.*?)\n</script>',
    re.S,
)
HEAD_VIEW = re.compile(
    r'(?P<open><div data-head-view="(?P<name>\w+)")(?P<rest>[^>]*>)\n'
    r"<style>(?P<style>.*?)</style>\n(?P<static>.*?)\n</div>\n"
    r"<script>\n(?P<script>.*?)\n</script>",
    re.S,
)


class Page:
    """One page's viewers, on their way into files of their own."""

    def __init__(self, out: Path) -> None:
        self.folder = out / FOLDER
        self.styles = {style.strip() for style in known_styles()}
        self.first = True

    def write(self, script: str) -> str:
        """Write a script under a name that comes from its content, and return the name."""
        name = hashlib.sha256(script.encode()).hexdigest()[:12]
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.js").write_text(script.replace("@NAME@", name), encoding="utf8")
        return name

    def place(self, found: re.Match[str], files: list[str], inside: str) -> str:
        """Return the viewer with what will load its files, the last of which draws it."""
        if found["style"].strip() not in self.styles:
            raise ValueError(f"wanted a style sheet of the package, got {found['style'][:60]!r}")
        load = f' data-loads="{" ".join(files)}"'
        if self.first and "data-viewer=" in found["open"]:
            load += ' data-first=""'
            self.first = False
        return f"{found['open']}{load}{found['rest']}\n{inside}\n</div>"

    def move_viewer(self, found: re.Match[str]) -> str:
        """Move one viewer's script out, minified, and its data if there is much of it."""
        name, data, files = found["name"], found["data"], []
        mounted = f'[data-viewer="{name}"]:not([data-mounted])'
        script = found["script"].replace(mounted, '[data-due="@NAME@"]:not([data-mounted])')
        if len(data) > LARGE:
            quoted = data.replace("\\", "\\\\").replace("'", "\\'")
            to = f"""document.querySelector('[data-viewer="{name}"] > script')"""
            files.append(self.write(f"{to}.textContent = '{quoted}';\n"))
            data = ""
        files.append(self.write(minified(f'(() => {{\n"use strict";\n{script}\n}})();\n')))
        kept = f'<script type="application/json">{data}</script>'
        return self.place(found, files, f"{found['static']}\n{kept}")

    def move_head_view(self, found: re.Match[str]) -> str:
        """Move the script of bertviz's view out."""
        return self.place(found, [self.write(found["script"] + "\n")], found["static"])


@cache
def minified(script: str) -> str:
    """Return a script that does the same in fewer letters."""
    return str(minify.string("application/javascript", script))


def known_styles() -> set[str]:
    """Return every style that a viewer may bring: the shared one, alone or before its own."""
    shared, *own = viewers_styles()
    return {shared, *own, *(shared + css for css in own)}


def move_viewers(out: Path, page: Path) -> None:
    """Move the viewers of one page into files, unless an earlier build has."""
    text = page.read_text(encoding="utf8")
    moving = Page(out)
    moved = VIEWER.sub(moving.move_viewer, text)
    moved = HEAD_VIEW.sub(moving.move_head_view, moved)
    if moved != text:
        page.write_text(moved, encoding="utf8")


def load_viewers_when_near(app: Sphinx, exception: Exception | None) -> None:
    """Move the viewers of all pages, and remove the files that no page names any more."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [page for page in sorted(out.rglob("*.html")) if page != out / "index.html"]
    for page in pages:
        move_viewers(out, page)
    texts = [page.read_text(encoding="utf8") for page in pages]
    for file in (out / FOLDER).glob("*.js"):
        if not any(file.stem in text for text in texts):
            file.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Move viewers before the style sheets are joined and the root page is made of another."""
    app.connect("build-finished", load_viewers_when_near, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
