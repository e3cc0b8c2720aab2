"""The repository's address stands once, in _config.yml; whatever else names it names the same."""

import re
from pathlib import Path

import pytest
from book_sources import Book

ROOT = Path(__file__).resolve().parents[2]
BOOK = Book(ROOT / "book")
NAME = BOOK.configured.rsplit("/", 1)[1]
TEXTS = ["README.md", "CITATION.cff", "pyproject.toml", "CONTRIBUTING.md"]
TEXTS += [f"book/{path.name}" for path in sorted((ROOT / "book").glob("*.ipynb"))]


def test_the_address_is_that_of_a_repository() -> None:
    assert re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+", BOOK.configured)


def test_a_fork_that_builds_the_book_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/other_name")
    fork = Book(ROOT / "book")
    assert fork.address == "https://github.com/somebody/other_name"
    assert fork.published == "https://somebody.github.io/other_name/book"
    monkeypatch.delenv("GITHUB_REPOSITORY")
    assert Book(ROOT / "book").address == BOOK.configured


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_names_the_same_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf8")
    named = re.findall(rf"https://github\.com/[\w-]+/{NAME}\b", text)
    named += [
        f"https://github.com/{o}/{NAME}" for o in re.findall(rf"([\w-]+)\.github\.io/{NAME}", text)
    ]
    # The notebooks are generated, in a fork with the fork's address; the others are written.
    assert set(named) <= {BOOK.address if name.endswith(".ipynb") else BOOK.configured}
    if name.endswith((".ipynb", "README.md")):
        assert named


def test_the_pages_link_to_it() -> None:
    page = (ROOT / "_build" / "html" / "book" / "01_single_head.html").read_text(encoding="utf8")
    assert f'href="{BOOK.address}"' in page
    assert BOOK.address.replace("https://github.com", "/github") + "/blob/main/book/" in page
