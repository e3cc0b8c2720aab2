"""Fill the exercises into the chapters as they are declared: title, prompt, starter and check."""

import re
import sys
from pathlib import Path

from book_sources import Book
from refusal import RefusalError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cleanformer_lite.checks import EXERCISES, Exercise
from cleanformer_lite.files import write_file

# What stands below a mark, up to the end of the cell that checks, is written by this tool.
BLOCK = re.compile(
    r"^% exercise: (?P<id>\S+) *\n(?:\n*### (?:(?!^% exercise: ).)*?^check\([^\n]*\)\n```\n)?",
    re.M | re.S,
)
DIFFICULTIES = {1: "easy", 2: "medium", 3: "hard"}


def fill_exercises(book: Book, *, check: bool) -> list[Path]:
    """Bring the exercises of all pages in step with their declarations; return pages that were not.

    Raises: RefusalError for a mark that names no exercise.
    """
    filled = {stem: fill(text, f"{stem}.md") for stem, text in book.texts.items()}
    stale = [stem for stem, text in filled.items() if text != book.texts[stem]]
    paths = {stem: book.folder / f"{stem}.md" for stem in stale}
    if not check:
        for stem, path in paths.items():
            write_file(path, filled[stem])
            book.texts[stem] = filled[stem]
    return list(paths.values())


def fill(text: str, file: str) -> str:
    """Return a page with every exercise as it is declared.

    Raises: RefusalError for a mark that names no exercise.
    """

    def block(found: re.Match[str]) -> str:
        if found["id"] not in EXERCISES:
            line = text[: found.start()].count("\n") + 1
            raise RefusalError(file, line, f"there is no exercise {found['id']!r}")
        return written(EXERCISES[found["id"]])

    return BLOCK.sub(block, text)


def written(exercise: Exercise) -> str:
    """Write one exercise as it stands on a page, its mark above it."""
    points = f"{exercise.points} point{'s' * (exercise.points != 1)}"
    effort = f"{points}, about {exercise.minutes} minutes, {DIFFICULTIES[exercise.difficulty]}"
    label = "solution-" + exercise.id.replace(".", "-").replace("_", "-")
    return (
        f"% exercise: {exercise.id}\n"
        f"### {exercise.title}\n\n{exercise.prompt}\n\n"
        f"*{effort}.* When you have tried: [a right answer, and why]({label}).\n\n"
        f"```{{code-cell}} ipython3\n:tags: [hide-output]\n\n"
        f'{exercise.starter}\ncheck("{exercise.id}", {exercise.entry_point})\n```\n'
    )
