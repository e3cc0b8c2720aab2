"""What every chapter has in common, read from its source."""

import ast
import re
from pathlib import Path

import pytest
from book_sources import Book
from fill_exercises import fill

from cleanformer_lite.checks import EXERCISES

BOOK = Path(__file__).resolve().parents[2] / "book"
CHAPTERS = [BOOK / f"{name}.md" for name in Book(BOOK).chapters]
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.M | re.S)
OPTIONS = re.compile(r"\A(?:---\n.*?\n---\n|(?::[^\n]*\n)+)\n*", re.S)


def cells(chapter: Path) -> list[str]:
    return [OPTIONS.sub("", cell) for cell in CELL.findall(chapter.read_text(encoding="utf-8"))]


def headings(chapter: Path) -> list[str]:
    prose = CELL.sub("", chapter.read_text(encoding="utf-8"))
    return re.findall(r"^## (.+)$", prose, re.M)


@pytest.fixture(params=CHAPTERS, ids=lambda chapter: chapter.stem)
def chapter(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def test_every_numbered_page_is_a_chapter_of_the_contents() -> None:
    assert sorted(CHAPTERS) == sorted(BOOK.glob("[0-9]*.md"))
    assert len(CHAPTERS) >= 4


def test_a_cell_is_short_and_is_python(chapter: Path) -> None:
    found = CELL.findall(chapter.read_text(encoding="utf-8"))
    assert found
    for cell in found:
        code = OPTIONS.sub("", cell)
        ast.parse(code)
        lines = [line for line in code.splitlines() if line.strip()]
        folded = "hide-input" in cell  # a picture's code, which a reader may pass over
        # What an exercise starts from may be a whole module: it is given, not explained.
        assert "\ncheck(" in code or len(lines) <= (30 if folded else 17), code


def test_it_opens_with_its_question(chapter: Path) -> None:
    prose = chapter.read_text(encoding="utf-8").split("---\n", 2)[2].strip()
    title, question = prose.split("\n\n")[:2]
    assert title.startswith("# ")
    assert re.fullmatch(r"\*\*[^*]+\?\*\*", question, re.S)


def test_it_asks_three_times_and_says_what_you_now_know(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    assert text.count("```{quiz}") >= 3
    [know] = re.findall(r"^## What you now know\n\n(.*?)\n\n## Exercises$", text, re.M | re.S)
    assert len(re.findall(r"^- ", know, re.M)) == 3


def test_it_ends_with_exercises_timing_and_a_head_view(chapter: Path) -> None:
    exercises, timing, view = headings(chapter)[-3:]
    assert exercises == "Exercises"
    assert timing.startswith("Timing")
    assert view == "Head view"


def test_it_prints_the_source_and_copies_none(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    assert "show_source(" in text
    for exercise in EXERCISES.values():
        text = text.replace(exercise.starter, "")  # what an exercise starts from may be named alike
    package = BOOK.parent / "cleanformer_lite"
    for module in package.glob("*.py"):
        for function in re.findall(
            r"^(?:def|class) (\w+)", module.read_text(encoding="utf-8"), re.M
        ):
            assert not re.search(rf"^(?:def|class) {function}\b", text, re.M), function


def test_its_exercises_are_filled_in_from_their_declarations(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    assert fill(text, chapter.name) == text, "out of step: make notebooks"
    word = chapter.stem.split("_", 1)[1]
    declared = [exercise.id for exercise in EXERCISES.values() if exercise.chapter == word]
    assert re.findall(r"^% exercise: (\S+)$", text, re.M) == declared
    assert re.findall(r'^check\("(\S+)"', text, re.M) == declared
    assert len(declared) >= 3


def test_every_picture_has_words(chapter: Path) -> None:
    for cell in CELL.findall(chapter.read_text(encoding="utf-8")):
        if "plt." in cell or "heatmap(" in cell:
            assert "alt:" in cell or "picture(" in cell, cell
        assert not re.search(r"heatmap\(.*;$", cell, re.M), "a semicolon hides the picture"


def test_its_word_is_a_module_and_a_test(chapter: Path) -> None:
    word = chapter.stem.split("_", 1)[1]
    assert (BOOK.parent / "cleanformer_lite" / f"{word}.py").exists()
    assert (BOOK.parent / "tests" / f"test_{word}.py").exists()
