"""Notebooks in step with their pages: the same bytes each time, and plain Markdown throughout."""

import json
from pathlib import Path
from typing import Any

import pytest
from make_notebooks import make_notebooks
from refusal import RefusalError

ROOT = Path(__file__).resolve().parents[2]
HEADER = "---\nkernelspec:\n  display_name: Python 3\n  name: python3\n---\n\n"
CODE = "```{code-cell} ipython3\n:tags: [hide-input]\n\nprint(1)\n```\n"
CONFIG = "repository:\n  url: https://github.com/someone/some_book\n  branch: main\n"
BIBLIOGRAPHY = """@article{one, author = {M{\\"u}ller, Ada}, year = {2001}, url = {https://a.example/1}}
@article{three, author = {A, B and C, D and E, F}, year = {2003}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_config.yml").write_text(CONFIG)
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "references.bib").write_text(BIBLIOGRAPHY)
    (folder / "notation.md").write_text("# Notation\n\n(letters)=\n## The letters\n")
    (folder / "02_other.md").write_text(f"{HEADER}# Another\n\n{CODE}")
    return folder


def convert(folder: Path, text: str) -> list[dict[str, Any]]:
    """Write a page, generate, and return the notebook's cells, less the two on its top."""
    (folder / "01_page.md").write_text(f"{HEADER}# Page\n\n{text}\n\n{CODE}")
    make_notebooks(folder, check=False)
    cells: list[dict[str, Any]] = json.loads((folder / "01_page.ipynb").read_text())["cells"]
    return cells[2:]


def markdown(folder: Path, text: str) -> str:
    return "".join(convert(folder, text)[0]["source"]).removeprefix("# Page\n\n")


def test_the_committed_notebooks_are_in_step() -> None:
    assert make_notebooks(ROOT / "book", check=True) == []


def test_the_same_page_gives_the_same_bytes(folder: Path) -> None:
    convert(folder, "Text")
    first = (folder / "01_page.ipynb").read_bytes()
    (folder / "01_page.ipynb").unlink()
    convert(folder, "Text")
    assert (folder / "01_page.ipynb").read_bytes() == first
    assert not list(folder.glob("*.partial"))


def test_cell_ids_differ_within_a_notebook_and_last(folder: Path) -> None:
    before = [cell["id"] for cell in convert(folder, f"Text\n\n{CODE}\n{CODE}")]
    assert len(set(before)) == len(before) == 4
    after = [cell["id"] for cell in convert(folder, f"Other\n\n{CODE}\n{CODE}")]
    assert after[0] != before[0]
    assert after[1:] == before[1:]


def test_check_says_what_is_stale_and_writes_nothing(folder: Path) -> None:
    convert(folder, "Text")
    assert make_notebooks(folder, check=True) == []
    page = folder / "01_page.md"
    page.write_text(page.read_text().replace("Text", "Changed"))
    before = (folder / "01_page.ipynb").read_bytes()
    assert make_notebooks(folder, check=True) == [folder / "01_page.ipynb"]
    assert (folder / "01_page.ipynb").read_bytes() == before


def test_a_notebook_without_a_page_goes(folder: Path) -> None:
    (folder / "old.ipynb").write_text("{}")
    convert(folder, "Text")
    assert sorted(path.name for path in folder.glob("*.ipynb")) == [
        "01_page.ipynb",
        "02_other.ipynb",
    ]


def test_the_first_cell_leads_to_page_and_colab_and_the_second_sets_up(folder: Path) -> None:
    convert(folder, "Text")
    first, second = json.loads((folder / "01_page.ipynb").read_text())["cells"][:2]
    source = "".join(first["source"])
    assert "(https://someone.github.io/some_book/book/01_page.html)" in source
    colab = (
        "https://colab.research.google.com/github/someone/some_book/blob/main/book/01_page.ipynb"
    )
    assert f"]({colab})" in source
    source = "".join(second["source"])
    assert "git+https://github.com/someone/some_book" in source
    assert "@ADDRESS@" not in source


def test_code_keeps_its_tags_and_has_no_output(folder: Path) -> None:
    code = convert(folder, "Text")[-1]
    assert code["metadata"] == {"tags": ["hide-input"]}
    assert (code["source"], code["outputs"]) == (["print(1)"], [])


def test_a_viewer_of_the_page_is_linked_to(folder: Path) -> None:
    assert "(https://someone.github.io/some_book/book/01_page.html)" in markdown(
        folder, "```{viewer} stage\n:play: true\n```"
    )


def test_what_waits_for_a_prediction_is_folded(folder: Path) -> None:
    code = CODE.replace("hide-input", "waits")
    waiting = convert(folder, f"Text\n\n{code}")[1]
    assert waiting["metadata"] == {"jupyter": {"outputs_hidden": True}, "tags": ["waits"]}


@pytest.mark.parametrize(
    ("myst", "plain"),
    [
        ("```{note}\nWords.\n```", "> **Note**\n>\n> Words."),
        (":::{tip}\nOne.\n\nTwo.\n:::", "> **Tip**\n>\n> One.\n>\n> Two."),
        ("```{warning} At once.\n```", "> **Warning**\n>\n> At once."),
        ("```{admonition} Predict\n:class: tip\nWhat?\n```", "> **Predict**\n>\n> What?"),
        (
            "```{admonition} Answer\n:class: dropdown\nYes.\n```",
            "<details>\n<summary>Answer</summary>\n\nYes.\n\n</details>",
        ),
        (
            "```{predict} a\nHow *many*?\n- [ ] `3`\n- [x] [five](02_other.md)\n```",
            "> **Predict**\n>\n> How *many*?\n>\n> - `3`\n> - [five](02_other.ipynb)",
        ),
        (
            "```{predict} a\n:slider: 1 64 1\n:unit: times\n:answer: 8\nHow long?\n```",
            "> **Predict**\n>\n> How long?\n>\n> - a number from 1 to 64 times",
        ),
        (
            "```{reveal} a\nFive.\n```",
            "<details>\n<summary>When you have decided, open this</summary>\n\nFive.\n\n</details>",
        ),
        (
            "```{quiz} a\nWhich?\n- [ ] `3`\n  No.\n- [x] 5\n  Yes.\n```",
            "> **Question**\n>\n> Which?\n\n"
            "<details>\n<summary><code>3</code></summary>\n\nNo.\n\n</details>\n\n"
            "<details>\n<summary>5</summary>\n\nYes.\n\n</details>",
        ),
        (
            "````{dropdown} More\n```{note}\nInner.\n```\n````",
            "<details>\n<summary>More</summary>\n\n> **Note**\n>\n> Inner.\n\n</details>",
        ),
        (
            "```{figure} _static/a.svg\n:alt: A head\nSaid of it.\n```",
            "![A head](https://raw.githubusercontent.com/someone/some_book/main/book/_static/a.svg)"
            "\n\nSaid of it.",
        ),
        ("```{math}\n:label: eq\nx^2\n```", "$$\nx^2\n$$"),
        ("```python\n[](02_other.md) {cite}`x`\n```", "```python\n[](02_other.md) {cite}`x`\n```"),
        ("See {cite}`one,three`.", "See ([Müller, 2001](https://a.example/1); A et al., 2003)."),
        ("{cite:t}`three` say", "A et al. (2003) say"),
        ("[](02_other.md)", "[Another](02_other.ipynb)"),
        ("[words](02_other.md)", "[words](02_other.ipynb)"),
        ("[`a`](02_other.md)", "[`a`](02_other.ipynb)"),
        ("[](notation.md)", "[Notation](https://someone.github.io/some_book/book/notation.html)"),
        (
            "{ref}`letters`",
            "[The letters](https://someone.github.io/some_book/book/notation.html#letters)",
        ),
        ("{doc}`so <02_other>`", "[so](02_other.ipynb)"),
        ("{math}`x^2` and $y$", "$x^2$ and $y$"),
        ("a {q}`query` meets a {k}`key`", "a **query** meets a **key**"),
        ('`f"{error}"` and `[](x.md)`', '`f"{error}"` and `[](x.md)`'),
        ("[out](https://a.example/b.md)", "[out](https://a.example/b.md)"),
        ("% a comment\n(here)=\n## Heading", "## Heading"),
    ],
)
def test_myst_becomes_plain_markdown(folder: Path, myst: str, plain: str) -> None:
    assert markdown(folder, myst) == plain


@pytest.mark.parametrize(
    ("myst", "line", "named"),
    [
        ("Text.\n\n```{list-table}\n* - x\n```", 11, "{list-table}"),
        ("```{note}\nText.\n{strange}`x`\n```", 11, "{strange}"),
        ("Text\n{cite}`nobody`", 10, "'nobody'"),
        ("(here)=\n## Two\n\n{cite}`nobody`\n\n```{note}\nText.\n```", 12, "'nobody'"),
        ("```{note}\nText.\n```\n\n{cite}`nobody`", 13, "'nobody'"),
        ("[](missing.md)", 9, "'missing.md'"),
        ("{ref}`nowhere`", 9, "'nowhere'"),
        (":::{note}\nText.", 9, "nothing closes"),
        ("Text.\n\n```{predict} a\nHow many?\n- [ ] 3\n- [ ] 5\n```", 11, "marked [x]"),
    ],
)
def test_what_has_no_equal_is_refused_by_line_and_name(
    folder: Path, myst: str, line: int, named: str
) -> None:
    with pytest.raises(RefusalError, match=f"book/01_page.md:{line}: .*") as refusal:
        convert(folder, myst)
    assert named in str(refusal.value)
