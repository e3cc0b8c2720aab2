"""One script for the book: what every page loads is joined, and what one page needs stays apart."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from book_scripts import common, load_one, names_in, write_one_script


def page(*names: str, up: str = "") -> str:
    tags = "".join(
        f'\n    <script defer="defer" src="{up}_static/{name}?v=12ab"></script>' for name in names
    )
    return f'<head>{tags}\n    <link rel="icon" href="x.svg"/></head>'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "_static").mkdir()
    (tmp_path / "book").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "_static" / f"{name}.js").write_text(f"{{ run('{name}') }}")
    (tmp_path / "search.html").write_text(page("a.js", "c.js", "b.js"))
    (tmp_path / "book" / "one.html").write_text(page("a.js", "b.js", up="../"))
    return tmp_path


def build(site: Path) -> None:
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=site)
    write_one_script(app, None)  # type: ignore[arg-type]


def test_what_every_page_loads_is_one_file_in_its_order(site: Path) -> None:
    build(site)
    assert (site / "_static" / "book.js").read_text() == "{ run('a') }\n;\n{ run('b') }"
    assert names_in((site / "search.html").read_text()) == ["book.js", "c.js"]
    text = (site / "book" / "one.html").read_text()
    assert names_in(text) == ["book.js"]
    assert 'src="../_static/book.js?v=' in text
    assert {path.name for path in (site / "_static").iterdir()} == {"book.js", "c.js"}


def test_a_page_of_an_earlier_build_gets_the_new_version(site: Path) -> None:
    build(site)
    before = (site / "book" / "one.html").read_text()
    for name, text in (("a", "changed()"), ("b", "{ run('b') }")):
        (site / "_static" / f"{name}.js").write_text(text)
    (site / "search.html").write_text(page("a.js", "c.js", "b.js"))
    build(site)
    after = (site / "book" / "one.html").read_text()
    assert names_in(after) == ["book.js"]
    assert after != before
    build(site)  # nothing was written anew
    assert (site / "book" / "one.html").read_text() == after


def test_the_joined_script_stands_where_the_first_has_stood() -> None:
    text = load_one(page("own.js", "a.js", "b.js", up="../"), ["a.js", "b.js"], "77")
    assert names_in(text) == ["own.js", "book.js"]
    assert common([page("a.js", "b.js"), page("b.js")]) == ["b.js"]
    assert common([]) == []
