"""How a built chapter is made up: little code, nothing cut, and soon something to do."""

from typing import Any

import pytest

from tests.book.conftest import CHAPTERS, Open

MEASURE = """() => {
  const article = document.querySelector("article"), whole = article.getBoundingClientRect();
  const all = (selector) => [...article.querySelectorAll(selector)];
  const seen = (selector) => all(selector).filter((e) => e.checkVisibility());
  const code = seen("div.cell_input, div.highlight")
    .filter((e) => !e.parentElement.closest("div.cell_input, div.highlight, div.cell_output"));
  const height = code.reduce((sum, e) => sum + e.getBoundingClientRect().height, 0);
  const first = seen(".ask button, .ask input, [data-viewer]")[0].getBoundingClientRect().top;
  return {
    code: height / whole.height,
    first: (first - whole.top) / whole.height,
    cut: seen("div.cell_input pre, div.cell_output pre")
      .filter((e) => e.scrollWidth > e.clientWidth + 1)
      .map((e) => e.textContent.slice(0, 60)),
  };
}"""


def measure(open_page: Open, chapter: str, width: int) -> dict[str, Any]:
    page = open_page(f"book/{chapter}.html")
    page.set_viewport_size({"width": width, "height": 900})
    found: dict[str, Any] = page.evaluate(MEASURE)
    # Shown with `pytest -rP`.
    print(f"{chapter} at {width}: code {found['code']:.0%}, first thing to do {found['first']:.0%}")
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
@pytest.mark.parametrize("width", [1280, 390])
def test_a_quarter_at_most_is_code_and_the_reader_soon_has_something_to_do(
    open_page: Open, chapter: str, width: int
) -> None:
    found = measure(open_page, chapter, width)
    assert found["code"] <= 0.25
    assert found["first"] <= 0.08


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_code_and_nothing_printed_is_cut_on_a_phone(open_page: Open, chapter: str) -> None:
    assert measure(open_page, chapter, 390)["cut"] == []
