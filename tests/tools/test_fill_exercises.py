"""What stands on a page as an exercise is what is declared; nothing else of the page changes."""

from pathlib import Path

import pytest
from book_sources import Book
from fill_exercises import fill, fill_exercises
from refusal import RefusalError

from cleanformer_lite.checks import EXERCISES

SPLIT, MERGE = EXERCISES["split_heads.split"], EXERCISES["split_heads.merge"]
ABOVE, BELOW = "# A page\n\nText, `check(...)`.\n\n", "\nMore text.\n\n### A heading\n"


def marks(*names: str) -> str:
    return "".join(f"% exercise: {name}\n\n" for name in names)


def test_a_mark_alone_becomes_an_exercise() -> None:
    page = fill(f"{ABOVE}{marks(SPLIT.id)}{BELOW}", "a.md")
    assert page.startswith(f"{ABOVE}% exercise: {SPLIT.id}\n### {SPLIT.title}\n\n{SPLIT.prompt}\n")
    assert f"\n*2 points, about {SPLIT.minutes} minutes, easy.* " in page
    assert "[a right answer, and why](solution-split-heads-split).\n" in page
    assert f'{SPLIT.starter}\ncheck("{SPLIT.id}", split_heads)\n```\n' in page
    assert page.endswith(BELOW)


def test_what_was_typed_into_an_exercise_is_written_over_and_nothing_else() -> None:
    page = fill(f"{ABOVE}{marks(SPLIT.id, MERGE.id)}{BELOW}", "a.md")
    assert page.count("\ncheck(") == page.count("% exercise: ") == 2
    for typed, instead in (
        (SPLIT.title, "Another title"),
        (SPLIT.prompt, "Another prompt.\n\nIn two paragraphs."),
        (MERGE.starter, "def merge(x):\n    ...\n"),
        (f'check("{MERGE.id}", merge_heads)', "check('merge')"),
    ):
        assert fill(page.replace(typed, instead), "a.md") == page
    assert fill(page, "a.md") == page


def test_a_mark_without_an_exercise_is_refused_by_its_line() -> None:
    with pytest.raises(RefusalError, match=r"^a.md:5: there is no exercise 'split_heads.spilt'$"):
        fill(f"{ABOVE}{marks('split_heads.spilt')}", "a.md")


def test_pages_are_written_or_only_compared(tmp_path: Path) -> None:
    for name, text in (("01_a", ABOVE + marks(SPLIT.id)), ("02_b", ABOVE + BELOW)):
        (tmp_path / f"{name}.md").write_text(text)
    stale = [tmp_path / "01_a.md"]
    assert fill_exercises(Book(tmp_path), check=True) == stale
    assert stale[0].read_text() == ABOVE + marks(SPLIT.id)
    assert fill_exercises(Book(tmp_path), check=False) == stale
    assert stale[0].read_text() == fill(ABOVE + marks(SPLIT.id), "01_a.md")
    assert fill_exercises(Book(tmp_path), check=True) == []
