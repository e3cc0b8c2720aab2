"""What a page weighs: everything that it loads, figures apart."""

import gzip
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from tests.book.conftest import CHAPTERS, PAGES, LookAt

MOST = 300_000  # bytes, gzipped
MOST_WITH_A_MODEL = {"book/07_transformer.html": 350_000}  # a translator's weights stand in it
MOST_FOR_A_VIEWER = 40_000  # bytes, as they stand in the page
FIGURES = (".png", ".jpg", ".svg")


def files_of(look_at: LookAt, name: str) -> list[Path]:
    asked = [urlparse(url) for url in look_at(name).asked]
    return [Path(unquote(url.path)) for url in asked if url.scheme == "file"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light(look_at: LookAt, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = {path for path in files_of(look_at, name) if path.suffix not in FIGURES}
    contents = [path.read_bytes() for path in files]
    raw, zipped = sum(map(len, contents)), sum(len(gzip.compress(c)) for c in contents)
    with capsys.disabled():
        print(f"\n{name}: {raw // 1000} kB, gzipped {zipped // 1000} kB, {len(files)} files")
    assert len(files) >= 3  # page, style sheet, script
    assert zipped <= MOST_WITH_A_MODEL.get(name, MOST)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_viewer_is_light(look_at: LookAt, site: Path, chapter: str) -> None:
    views = look_at(f"book/{chapter}.html").facts["head_views"]
    assert views
    for name in views:
        text = (site / "_static" / "viewers" / f"{name}.js").read_text(encoding="utf8")
        data = next(line for line in text.splitlines() if line.strip().startswith("const params"))
        assert len(text.encode()) - len(data.encode()) <= MOST_FOR_A_VIEWER
