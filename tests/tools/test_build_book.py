"""A page never shows what older code printed, and a cell that raises fails the build."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from build_book import build, digest

CONFIG = """execute:
  execute_notebooks: cache
only_build_toc_files: true
exclude_patterns: [cleanformer_lite, tools]
"""
PAGE = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  name: python3
---

# A page

```{code-cell} ipython3
from cleanformer_lite.answer import ANSWER

print("the answer is", ANSWER)
```
"""


@pytest.fixture
def small_book(tmp_path: Path) -> Path:
    """A book of one page that imports a package of one line."""
    for folder in ("book", "cleanformer_lite", "tools"):
        (tmp_path / folder).mkdir()
    (tmp_path / "_config.yml").write_text(CONFIG)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "book" / "index.md").write_text(PAGE)
    (tmp_path / "cleanformer_lite" / "__init__.py").write_text("")
    (tmp_path / "cleanformer_lite" / "answer.py").write_text("ANSWER = 41\n")
    return tmp_path


def shown(book: Path) -> str:
    return (book / "_build" / "html" / "book" / "index.html").read_text()


def test_pages_follow_the_package_and_an_unchanged_book_is_left_alone(small_book: Path) -> None:
    assert build(small_book) == 0
    assert "the answer is 41" in shown(small_book)
    page = small_book / "_build" / "html" / "book" / "index.html"
    built = page.stat().st_mtime_ns
    assert build(small_book) == 0
    assert page.stat().st_mtime_ns == built

    (small_book / "cleanformer_lite" / "answer.py").write_text("ANSWER = 42\n")
    assert build(small_book) == 0
    assert "the answer is 42" in shown(small_book)


def test_a_cell_that_raises_fails_the_build_each_time_and_is_shown(
    small_book: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (small_book / "cleanformer_lite" / "answer.py").write_text("raise OSError('no answer')\n")
    for _ in range(2):  # Sphinx would pass the second time: the page has not changed
        assert build(small_book) != 0
        assert "OSError" in capfd.readouterr().err
        assert not (small_book / "_build" / "html").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "book" / "new.md").write_text("# New\n"),
        lambda root: (root / "cleanformer_lite" / "answer.py").unlink(),
        lambda root: (root / "_config.yml").write_text("title: another\n"),
        lambda root: (root / "requirements.txt").write_text("torch==2.13.0\n"),
        lambda root: (root / "book" / "index.md").rename(root / "book" / "moved.md"),
    ],
    ids=["page added", "module removed", "settings", "requirements", "page moved"],
)
def test_every_change_counts(small_book: Path, change: Callable[[Path], object]) -> None:
    names = ["book", "cleanformer_lite", "requirements.txt", "_config.yml"]
    before = digest(small_book, names)
    assert digest(small_book, names) == before
    change(small_book)
    assert digest(small_book, names) != before


def test_what_python_leaves_behind_does_not_count(small_book: Path) -> None:
    before = digest(small_book, ["cleanformer_lite"])
    code = "import cleanformer_lite.answer"
    subprocess.run([sys.executable, "-c", code], cwd=small_book, check=True)
    assert digest(small_book, ["cleanformer_lite"]) == before
