"""Sphinx extension: drop from the built site what no page uses; mend what the theme gets wrong."""

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode, depart_HideCellInput, visit_HideCellInput
from nbclient import NotebookClient
from PIL import Image
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

# FontAwesome alone is 527 kB of script, gzipped: book/_static/icons.css draws the few icons shown.
UNUSED = ["vendor/fontawesome", "locales", "**/*.map", "**/*.LICENSE.txt", "*-macros.html"]
UNUSED += ["design-tabs.js", "plus.png", "minus.png", "styles/theme.css"]
# The scripts of theme and Sphinx, 20 times the weight of what book/_static has instead.
UNUSED += ["scripts", "doctools.js", "documentation_options.js", "sphinx_highlight.js"]
UNUSED += ["images/logo_binder.svg", "images/logo_deepnote.svg", "images/logo_jupyterhub.svg"]
# The theme names these in a template, without the digests that make a browser fetch a newer one.
# By its plain name it would take the last style sheet out again.
STYLES = ["basic.css", "styles/bootstrap.css", "./styles/pydata-sphinx-theme.css"]


def drop_unused_files(app: Sphinx, exception: Exception | None) -> None:
    """Remove the files that `UNUSED` names once the site is written."""
    if exception is None and app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        for pattern in UNUSED:
            for path in static.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        # What sphinx-design has copied to _static from here.
        shutil.rmtree(Path(app.outdir) / "_sphinx_design_static", ignore_errors=True)


def shrink_pictures(app: Sphinx, exception: Exception | None) -> None:
    """Give the plots a palette: of 256 colours they use few, and weigh less than half."""
    if exception is None and app.builder.format == "html":
        for path in (Path(app.outdir) / "_images").glob("*.png"):
            with Image.open(path) as picture:
                if picture.mode != "P":  # not one of an earlier build
                    small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
                    small.save(path, optimize=True)


def name_the_works_as_a_list(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Let a screen reader count the references: docutils' own role is not one of a list's."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def let_no_page_wait(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Have script files run when the page has been read; leave out those that no page uses."""
    scripts = []
    for script in context.get("script_files", []):
        name, body = str(script.filename or ""), script.attributes.get("body", "")
        if any(Path(name).match(f"_static/{part}") for part in [*UNUSED, "scripts/*"]):
            continue
        if "DOCUMENTATION_OPTIONS.pagename" in body:  # for a switch between versions
            continue
        if name:
            script.attributes["defer"] = "defer"
        scripts.append(script)
    context["script_files"] = scripts


def tell_search_fields_apart(app: Sphinx, exception: Exception | None) -> None:
    """Give the second field of the search page an id of its own: the theme uses one for both."""
    if exception is None and app.builder.format == "html":
        page = Path(app.outdir) / "search.html"
        before, field, after = page.read_text(encoding="utf-8").rpartition('id="search-input"')
        if 'id="search-input"' in before:
            named = field.replace("search-input", "search-input-of-page")
            page.write_text(before + named + after, encoding="utf-8")


def name_the_side_bar(app: Sphinx, exception: Exception | None) -> None:
    """Make the side bar a landmark: the theme leaves the book's title in it outside of all."""
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            side_bar = '<div class="bd-sidebar-primary '
            if side_bar in text:  # not in a page that an earlier build has mended
                named = side_bar.replace("div", 'div role="complementary" aria-label="The book"')
                page.write_text(text.replace(side_bar, named), encoding="utf-8")


def visit_hidden_cell(translator: HTML5Translator, node: HideCodeCellNode) -> None:
    """Write a folded cell, named by the words on its fold: MyST-NB gives it another name.

    A summary may hold no paragraph: the two words are spans.
    """
    start = len(translator.body)
    visit_HideCellInput(translator, node)
    for i, piece in enumerate(translator.body[start:], start):
        if piece.startswith("<summary"):
            translator.body[i] = "<summary>\n"
        elif piece.startswith("<p "):
            translator.body[i] = piece.replace("<p ", "<span ").replace("</p>", "</span>")


def drop_widget_state(app: Sphinx, doctree: nodes.document) -> None:
    """Forget the state that ipywidgets would restore: no manager is shipped that would read it.

    It repeats each viewer's script, and its ids are random, so that no two builds would agree.
    """
    pages = getattr(app.env, "nb_metadata", {})
    pages.get(app.env.docname, {}).get("js_files", {}).pop("ipywidgets_state", None)


def setup(app: Sphinx) -> dict[str, bool]:
    """Keep what a cell prints in one piece; wait for each page read, and for the end."""
    # A busy machine hands a line over in parts, and each part would become a line on the page.
    NotebookClient.coalesce_streams.default_value = True
    for name in STYLES:
        app.add_css_file(name, priority=100)
    app.add_node(HideCodeCellNode, override=True, html=(visit_hidden_cell, depart_HideCellInput))
    app.connect("doctree-read", drop_widget_state)
    app.connect("html-page-context", name_the_works_as_a_list)
    app.connect("html-page-context", let_no_page_wait, priority=900)
    app.connect("build-finished", drop_unused_files)
    app.connect("build-finished", shrink_pictures)
    app.connect("build-finished", tell_search_fields_apart)
    app.connect("build-finished", name_the_side_bar)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
