"""What holds for every prediction and quiz, read from the pages' sources."""

import re
from collections import Counter
from pathlib import Path

import pytest
from book_sources import Book
from questions import check_prediction, check_quiz, read_question

BOOK = Path(__file__).resolve().parents[2] / "book"
PAGES = sorted(BOOK.glob("*.md"))
CHAPTERS = [BOOK / f"{name}.md" for name in Book(BOOK).chapters]
DIRECTIVE = re.compile(r"^```\{(predict|quiz|reveal)\} *(\S*)\n(.*?)^```$", re.M | re.S)
OPTION = re.compile(r"^:([\w-]+): *(.*)$")
WAITS = re.compile(r"^```\{code-cell\}.*\n(?:---\n)?:?tags: \[[^\]]*\bwaits", re.M)


def directives(page: Path, kind: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return the content and the options of each directive of a kind, by its name."""
    found = {}
    for name, written in [
        (m[2], m[3].splitlines())
        for m in DIRECTIVE.finditer(page.read_text(encoding="utf-8"))
        if m[1] == kind
    ]:
        options = {m[1]: m[2] for m in map(OPTION.match, written) if m}
        found[name] = [line for line in written if not OPTION.match(line)], options
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_prediction_can_be_answered_and_is_revealed(page: Path) -> None:
    asked = directives(page, "predict")
    for name, (body, options) in asked.items():
        check_prediction(name, read_question(body), options)
    for name, (body, _) in directives(page, "quiz").items():
        check_quiz(name, read_question(body))
    assert set(directives(page, "reveal")) == set(asked)


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_no_answer_lies_open_below_its_question(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    places = [m for m in DIRECTIVE.finditer(text) if m[1] == "predict"]
    for place in places:
        behind = text[place.end() :]
        reveal = re.search(rf"^```\{{reveal\}} {place[2]}$", behind, re.M)
        assert reveal, place[2]
        between = behind[: reveal.start()]
        # Code may stand between, to read before one answers; what it prints waits.
        assert not re.search(r"^```\{(predict|quiz)\}", between, re.M)
        last = between.rfind("```{code-cell}")
        assert last == -1 or WAITS.match(between[last:]), place[2]


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_it_asks_before_it_shows(page: Path) -> None:
    assert len(directives(page, "predict")) >= 2
    assert "{admonition} Predict" not in page.read_text(encoding="utf-8")


def test_a_name_is_used_once_in_the_book() -> None:
    # An answer is remembered by it, whatever the page.
    names = Counter(
        m[2]
        for page in PAGES
        for m in DIRECTIVE.finditer(page.read_text(encoding="utf-8"))
        if m[1] in ("predict", "quiz")
    )
    assert names
    assert [name for name, times in names.items() if times > 1] == []
