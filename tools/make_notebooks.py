"""Fill the exercises into book/*.md, and generate book/*.ipynb from it; --check compares.

One way only, and the same bytes each time.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from book_sources import Book
from fill_exercises import fill_exercises
from jupytext.myst import myst_to_notebook
from plain_markdown import PlainMarkdown
from refusal import RefusalError

from cleanformer_lite.files import write_file

ROOT = Path(__file__).resolve().parent.parent
SETUP_CELL = Path(__file__).with_name("setup_cell.txt")
TOP = """[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})

This notebook is a chapter of a book. [Its page]({page}) shows every output that the text speaks of.
Here they appear as you run the cells, from the top down."""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
Cell = dict[str, Any]


def cell(kind: str, source: str, metadata: dict[str, Any], seen: Counter[str]) -> Cell:
    """Make one cell whose id comes from its content, and from its turn among equal ones."""
    content = f"{kind}\n{source}"
    name = hashlib.sha256(f"{seen[content]}\n{content}".encode()).hexdigest()[:12]
    seen[content] += 1
    made = {"cell_type": kind, "id": name, "metadata": metadata}
    made["source"] = source.splitlines(keepends=True)
    return made | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def notebook_cells(book: Book, stem: str) -> Iterator[Cell]:
    """Yield what leads elsewhere and the set-up cell, then the page's cells."""
    seen: Counter[str] = Counter()
    yield cell("markdown", TOP.format(page=book.page(stem), colab=book.colab(stem)), {}, seen)
    setup = SETUP_CELL.read_text(encoding="utf8").strip().replace("@ADDRESS@", book.address)
    yield cell("code", setup, {}, seen)
    page = myst_to_notebook(book.texts[stem], add_source_map=True)
    writer = PlainMarkdown(book, f"{book.folder.name}/{stem}.md")
    for read, above in zip(page.cells, page.metadata["source_map"], strict=True):
        source = read.source
        if read.cell_type == "markdown":
            source = writer.convert(source, first_line(book.texts[stem], above))
        if source:
            yield cell(read.cell_type, source, folded(dict(read.metadata)), seen)


def folded(metadata: dict[str, Any]) -> dict[str, Any]:
    """Fold the output of a cell that waits for a prediction, in front ends that know how."""
    if {"waits", "waits-all"} & set(metadata.get("tags", [])):
        return {**metadata, "jupyter": {"outputs_hidden": True}}
    return metadata


def first_line(text: str, above: int) -> int:
    """Return the number, from 1, of the first line with text after `above` lines."""
    lines = text.split("\n")
    while above < len(lines) and not lines[above].strip():
        above += 1
    return above + 1


def write_notebook(book: Book, stem: str) -> str:
    """Return the notebook of one page as text."""
    cells = list(notebook_cells(book, stem))
    notebook = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def make_notebooks(folder: Path, *, check: bool) -> list[Path]:
    """Bring pages in step with the exercises, and notebooks with pages; return those that were not.

    Raises: RefusalError for a page that has no equal in plain Markdown.
    """
    book = Book(folder)
    filled = fill_exercises(book, check=check)
    wanted = {
        folder / f"{stem}.ipynb": write_notebook(book, stem)
        for stem in book.texts
        if book.is_notebook(stem)
    }
    leftover = [path for path in sorted(folder.glob("*.ipynb")) if path not in wanted]
    stale = [p for p, text in wanted.items() if not p.exists() or p.read_bytes() != text.encode()]
    if not check:
        for path in stale:
            write_file(path, wanted[path])
        for path in leftover:
            path.unlink()
    return [*filled, *stale, *leftover]


def main() -> int:
    """Generate, or with --check only compare; exit with 1 if a file was out of step."""
    check = "--check" in sys.argv
    try:
        changed = make_notebooks(ROOT / "book", check=check)
    except RefusalError as refusal:
        print(refusal, file=sys.stderr)
        return 1
    for path in changed:
        print(f"{'stale, run make notebooks' if check else 'generated'}: {path.relative_to(ROOT)}")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
