"""On the built pages: nothing that waits is open, and what the reader says opens it."""

import re
from typing import Any

import pytest

from tests.book.conftest import CHAPTERS, ROOT, Open

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS)
OPEN = "details.waits[open]"


def answer(box: Any) -> None:
    """Say something: the first choice, or where the slider stands, or nothing."""
    for selector in (".choice", ".ask-slider button", ".ask-more"):
        if box.locator(selector).count():
            box.locator(selector).first.click()
            return


@every_chapter
def test_every_prediction_waits_until_it_is_made(open_page: Open, chapter: str) -> None:
    source = (ROOT / "book" / f"{chapter}.md").read_text(encoding="utf8")
    page = open_page(f"book/{chapter}.html")
    page.evaluate("localStorage.clear()")
    page.reload()
    boxes = page.locator(".ask.predict").all()
    assert len(boxes) == len(re.findall(r"^```\{predict\}", source, re.M)) >= 2
    assert page.locator(OPEN).count() == 0
    for box in boxes:
        waiting = page.locator(f"details.waits[data-waits-for='{box.get_attribute('id')}']")
        assert waiting.count() >= 1
        before = page.locator(OPEN).count()
        answer(box)
        # It opens what waits for it, and nothing else.
        assert page.locator(OPEN).count() == before + waiting.count()
        assert waiting.first.get_attribute("open") is not None
        assert (
            box.locator("> .you-said").inner_text() or box.get_attribute("data-viewer-asks") == ""
        )
    assert page.locator("details.waits:not([open])").count() == 0


@every_chapter
def test_an_answer_that_is_measured_is_a_number_of_the_page(open_page: Open, chapter: str) -> None:
    page = open_page(f"book/{chapter}.html")
    for box in page.locator(".ask[data-measured]").all():
        value = str(box.get_attribute("data-answer"))
        waiting = page.locator(f"details.waits[data-waits-for='{box.get_attribute('id')}']")
        printed = " ".join(waiting.locator(".cell_output, .output").all_text_contents())
        numbers = [float(found) for found in re.findall(r"\d+(?:\.\d+)?", printed)]
        assert float(value) in numbers
