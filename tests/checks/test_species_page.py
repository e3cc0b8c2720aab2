"""The page of mistakes is what the code computes, and every chapter has its exercises."""

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from book_sources import Book
from write_mistakes import NOT, matrix, page

from cleanformer_lite.checks import EXERCISES, MISTAKES, Exercise, check

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = [name.partition("_")[2] for name in Book(BOOK).chapters]


def solutions(chapter: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(chapter, BOOK / "solutions" / f"{chapter}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_the_committed_one() -> None:
    assert (BOOK / "species.md").read_text(encoding="utf-8") == page()


def test_the_matrix_does_not_hang_on_one_seed() -> None:
    assert matrix(1) == matrix(2)


def test_every_mistake_is_caught_by_a_property_and_every_property_is_named() -> None:
    table = matrix()
    for species, row in table.items():
        assert any(cell != NOT for cell in row.values()), species
    rows = ["".join(row.values()) for row in table.values()]
    unlike = {name for name, row in table.items() if rows.count("".join(row.values())) == 1}
    assert {"merge_without_transpose", "mask_after_softmax", "built_in_forward"} <= unlike


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_the_solution_passes(exercise: object) -> None:
    assert hasattr(exercise, "entry_point")
    known = EXERCISES[exercise.id]  # type: ignore[attr-defined]
    report = check(known.id, getattr(solutions(known.chapter), known.entry_point))
    assert report.passed, report


def test_every_chapter_has_three_exercises_and_the_book_its_order() -> None:
    counted = Counter(exercise.chapter for exercise in EXERCISES.values())
    assert list(counted) == CHAPTERS
    assert min(counted.values()) >= 3


def test_every_species_has_a_text_and_three_hints() -> None:
    for name, species in MISTAKES.items():
        assert species.id == name
        assert len(set(species.hints)) == 3
        assert species.thread.startswith("https://github.com/") or species.thread == ""
        assert not species.cause.endswith(".")


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_a_solution_stands_under_its_title_with_a_reason_before_the_code(
    exercise: Exercise,
) -> None:
    page = (BOOK / "solutions" / f"{exercise.chapter}.md").read_text(encoding="utf-8")
    label = "solution-" + exercise.id.replace(".", "-").replace("_", "-")
    _, mark, below = page.partition(f"({label})=\n## {exercise.title}\n\n")
    assert mark
    reason, _, shown = below.partition("\n\n")
    assert reason.endswith(".")
    assert not reason.startswith("```")
    repaired = "solution-split-heads-module" in shown.partition("\n(")[0]
    assert repaired or f":pyobject: {exercise.entry_point}\n" in shown.partition("\n(")[0]
