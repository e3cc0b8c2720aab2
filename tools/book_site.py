"""Sphinx extension: what makes the pages one site: addresses, descriptions, root, map and card."""

import html
import re
import shutil
from pathlib import Path
from posixpath import join, normpath
from typing import Any
from urllib.parse import urlsplit

from book_sources import Book
from build_book import EVERYTHING
from docutils import nodes
from make_card import ALT, draw_card
from revision import read_revision
from sphinx.application import Sphinx

CARD = "_static/card.png"
LINK = re.compile(r'(?<=\s)(href|src|action|data-content_root)="(?!#|[a-z]+:|//)([^"]*)"')
VIEWPORT = re.compile(r'<meta name="viewport"[^>]*>')
LONGEST = 200  # what a page of results shows of a description
ROBOTS = "User-agent: *\nAllow: /\n\nSitemap: {site}sitemap.xml\n"
LOST = """<h1>No such page</h1>
<p>The book has no page at this address. A chapter may have been renamed: the contents are at the
side, and the search knows every page.</p>
<p><a href="{home}">To the first page</a></p>"""


def take_the_address(app: Sphinx, config: Any) -> None:
    """Derive every address from the repository's, and the footer's line from its history."""
    root = Path(app.confdir)
    book = Book(root / "book")
    config.html_baseurl = f"{book.site}/"
    config.html_theme_options["repository_url"] = book.address
    revision = read_revision(root, EVERYTHING)
    config.html_context = {
        **config.html_context,
        "commit": revision.commit,
        "revision": str(revision),
        "address": book.address,
    }


def describe(doctree: nodes.document | None) -> str:
    """Return the question that a page opens with, else how its text begins, or ''."""
    paragraphs = list(doctree.findall(nodes.paragraph)) if doctree else []
    of_text = [p for p in paragraphs if isinstance(p.parent, nodes.section | nodes.document)]
    texts = [" ".join(p.astext().split()) for p in of_text]
    question = next((text for text in texts[:2] if text.endswith("?")), "")
    text = question or next(iter(texts), "")
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def add_metadata(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Say in a page's head what it is about, for pages of results and for cards."""
    site, home = app.config.html_baseurl, app.config.root_doc
    if page == home:
        context["pageurl"] = site  # the root shows the same page
    description = describe(doctree) or app.config.html_context["description"]
    title = re.sub(r"<[^>]*>", "", html.unescape(str(context.get("title", ""))))
    book = str(app.config.html_title)
    told = {
        "og:site_name": book,
        "og:type": "website" if page == home else "article",
        "og:title": book if page == home else title or book,
        "og:description": description,
        "og:url": context.get("pageurl") or site,
        "og:image": site + CARD,
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": ALT,
    }
    tags = [f'<meta property="{k}" content="{html.escape(v)}" />' for k, v in told.items()]
    tags.append(f'<meta name="description" content="{html.escape(description)}" />')
    tags.append('<meta name="twitter:card" content="summary_large_image" />')
    if template in ("404.html", "search.html"):
        tags.append('<meta name="robots" content="noindex" />')
    given = VIEWPORT.sub("", context.get("metatags", ""))  # the page's template has one
    context["metatags"] = given + "\n    " + "\n    ".join(tags)


def rebase(text: str, folder: str, prefix: str) -> str:
    """Return a page's HTML as another place needs it: its links led from `folder` by `prefix`."""

    def led(match: re.Match[str]) -> str:
        name, link = match.groups()
        path, mark, rest = re.fullmatch(r"([^?#]*)([?#]?)(.*)", link, re.S).groups()  # type: ignore[union-attr]
        to = normpath(join(folder, path)) if path else folder
        to += "/" if path.endswith("/") and not to.endswith("/") else ""
        return f'{name}="{prefix}{"" if to in (".", "./") else to}{mark}{rest}"'

    return LINK.sub(led, text)


def write_the_root(app: Sphinx, out: Path) -> None:
    """Write the first page at the root too, because that is the address people share."""
    home = f"{app.config.root_doc}.html"
    text = (out / home).read_text(encoding="utf8")
    rooted = rebase(text, str(Path(home).parent), "")
    rooted = rooted.replace('data-content_root=""', 'data-content_root="./"')
    (out / "index.html").write_text(rooted, encoding="utf8")


def write_the_lost_page(app: Sphinx, out: Path) -> None:
    """Lead the links of 404.html from the host's root: it is shown at any address."""
    page = out / "404.html"
    prefix = urlsplit(app.config.html_baseurl).path
    text = page.read_text(encoding="utf8")
    if f'="{prefix}_static' not in text:  # not one that an earlier build has led
        page.write_text(rebase(text, "", prefix), encoding="utf8")


def write_the_map(app: Sphinx, out: Path) -> None:
    """List every page for search engines."""
    site, home = app.config.html_baseurl, app.config.root_doc
    pages = sorted(app.env.found_docs)
    addresses = [site if page == home else f"{site}{page}.html" for page in pages]
    entries = "".join(f"  <url><loc>{html.escape(a)}</loc></url>\n" for a in addresses)
    (out / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{entries}</urlset>\n',
        encoding="utf8",
    )
    (out / "robots.txt").write_text(ROBOTS.format(site=site), encoding="utf8")


def publish_the_notebooks(app: Sphinx, out: Path) -> None:
    """Offer the generated notebooks for download, instead of what MyST-NB has read."""
    book = Path(app.confdir) / "book"
    for notebook in sorted(book.glob("*.ipynb")):
        target = out / "_sources" / "book" / notebook.name
        if target.exists():
            shutil.copyfile(notebook, target)


def complete(app: Sphinx, exception: Exception | None) -> None:
    """Write what no page is made from, once all pages are."""
    if exception is None and app.builder.format == "html":
        out = Path(app.outdir)
        write_the_root(app, out)
        write_the_lost_page(app, out)
        write_the_map(app, out)
        publish_the_notebooks(app, out)
        draw_card(str(app.config.html_title), app.config.html_context["description"], out / CARD)


def lost_page(app: Sphinx) -> list[tuple[str, dict[str, Any], str]]:
    """Add the page that a reader sees who asks for one that is not there."""
    body = LOST.format(home=f"{app.config.root_doc}.html")
    return [("404", {"title": "No such page", "body": body}, "404.html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Take the address first of all, and write the last files last."""
    app.connect("config-inited", take_the_address, priority=100)
    app.connect("html-page-context", add_metadata)
    app.connect("html-collect-pages", lost_page)
    app.connect("build-finished", complete, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
