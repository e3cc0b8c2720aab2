"""The directive that puts a viewer into a page without a kernel, in a small book of its own."""

from pathlib import Path

import pytest
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util.docutils import docutils_namespace

from cleanformer_lite.viewers import stage


def build(tmp_path: Path, text: str) -> str:
    (tmp_path / "index.md").write_text(f"# Page\n\n{text}\n")
    out = tmp_path / "out"
    config = {"extensions": ["myst_nb", "book_viewers"], "nb_execution_mode": "off"}
    places = (tmp_path, None, out, tmp_path / "trees")
    with docutils_namespace():
        Sphinx(*places, "html", config, warningiserror=True, status=None).build()
    return (out / "index.html").read_text()


def test_a_viewer_stands_on_the_page_as_a_cell_would_show_it(tmp_path: Path) -> None:
    page = build(tmp_path, "```{viewer} stage\n:step: softmax\n:causal: true\n```")
    assert stage(step="softmax", causal=True).page() in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```{viewer} actor\n```", "wanted a function of cleanformer_lite.viewers .*, got actor"),
        ("```{viewer} stage\n:step: curtain\n```", "wanted a step of words, .*, got 'curtain'"),
        ("```{viewer} stage\n:colour: red\n```", "unexpected keyword argument 'colour'"),
    ],
)
def test_what_is_refused_fails_the_build(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SphinxError, match=message):
        build(tmp_path, text)
