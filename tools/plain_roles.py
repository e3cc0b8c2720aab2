"""Turn MyST's roles and links between pages into Markdown that every notebook shows."""

import re
from collections.abc import Callable

from book_sources import Book
from refusal import RefusalError

# A code span, or a role, which is a code span with a name before it.
SPAN = re.compile(
    r"(?:\{(?P<role>[\w:.+-]+)\})?(?<!`)(?P<ticks>`+)(?!`)(?P<text>(?:(?!\n\n).)+?)(?<!`)(?P=ticks)(?!`)",
    re.S,
)
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
TITLED = re.compile(r"^(?P<text>.+?)\s*<(?P<target>[^>]+)>$", re.S)


def plain_roles(text: str, book: Book, file: str, first_line: int) -> str:
    """Return `text` with its roles and links to pages and labels written as plain Markdown.

    Raises: RefusalError for a role, a page, a label or a cited work that is not known.
    """

    def line_of(match: re.Match[str]) -> int:
        return first_line + match.string.count("\n", 0, match.start())

    def replace(write: Callable[[re.Match[str], Book], str]) -> Callable[[re.Match[str]], str]:
        def written(match: re.Match[str]) -> str:
            try:
                return write(match, book)
            except KeyError as error:
                raise RefusalError(
                    file, line_of(match), f"{error.args[0]} in {match[0]!r}"
                ) from None

        return written

    pieces: list[str] = []
    end = 0
    for span in SPAN.finditer(text):
        # Links are looked for between the spans: code that looks like one is left alone.
        pieces.append(text[end : span.start()])
        pieces.append(replace(write_role)(span))
        end = span.end()
    pieces.append(text[end:])
    prose = LINK.sub(replace(write_link), "\0".join(pieces[::2]))
    return "".join(a + b for a, b in zip(prose.split("\0"), [*pieces[1::2], ""], strict=True))


def write_role(span: re.Match[str], book: Book) -> str:
    """Write one role, or leave a code span as it is."""
    role, content = span["role"], span["text"]
    if role is None:
        return span[0]
    if role == "math":
        return f"${content}$"
    if role in ("q", "k", "v"):  # coloured on the page
        return f"**{content}**"
    if role in ("cite", "cite:p"):
        return "(" + "; ".join(cited(key, book, "{}, {}") for key in content.split(",")) + ")"
    if role == "cite:t":
        return ", ".join(cited(key, book, "{} ({})") for key in content.split(","))
    if role in ("ref", "doc"):
        titled = TITLED.match(content)
        return link(titled["text"] if titled else "", titled["target"] if titled else content, book)
    raise KeyError(f"no plain Markdown for the role {{{role}}}")


def cited(key: str, book: Book, form: str) -> str:
    """Write one cited work as authors and year, linked if it has an address."""
    try:
        authors, year, address = book.cite(key.strip())
    except KeyError:
        raise KeyError(f"no work {key.strip()!r} in references.bib") from None
    written = form.format(authors, year)
    return f"[{written}]({address})" if address else written


def write_link(match: re.Match[str], book: Book) -> str:
    """Write a link to a page or a label of the book; leave every other link as it is."""
    target = match["target"]
    if re.match(r"[a-z+]+:", target) or target.startswith(("/", "#")):
        return match[0]
    return link(match["text"], target, book)


def link(text: str, target: str, book: Book) -> str:
    """Link to a page (by file or document name) or to a label, by its title unless a text is given.

    Raises: KeyError if the book has neither.
    """
    page, _, anchor = target.partition("#")
    stem = page.removesuffix(".md")
    if stem in book.texts:
        return f"[{text or book.title(stem)}]({book.link(stem, anchor)})"
    if target in book.labels:
        stem, heading = book.labels[target]
        return f"[{text or heading}]({book.link(stem, target)})"
    raise KeyError(f"no page or label {target!r}")
