"""A small page with predictions and a quiz, built, then read in a browser: by mouse and by keys."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tests.axe import violations

ROOT = Path(__file__).resolve().parents[2]
PARTS: list[str | tuple[str, str, str]] = [
    """# A page

**What is asked here?**

```{predict} spread
How *large*?
- [ ] 1
- [x] 8
- [ ] `64`
```
""",
    ("print('never looked at')", "spread: 8.1\n", "waits"),
    """```{reveal} spread
The root of 64.
```

```{predict} times
:slider: 1 100 log
:unit: times
:answer-from: times as long:
How long?
```
""",
    ("print('times as long: 77')", "times as long: 12.4\n", "waits-all"),
    "```{reveal} times\nLaunching.\n```\n\nIt goes on.\n",
    ("print('also')", "also waiting\n", "waits"),
    """```{predict} steps
:slider: 0 40 10
:answer: 20
How many?
```

```{reveal} steps
Twenty.
```

```{predict} nearest
:answer-from: by factor
Nearest?
- [ ] 2 times
- [ ] 20 times
```
""",
    ("1", "by factor 7.5\n", "waits"),
    """```{predict} draw
:viewer:
Draw it.
```

```{reveal} draw
What you drew.
```
""",
    """```{reveal} nearest
By factors.
```

```{quiz} sums
Which sum to 1?
- [ ] Columns
  No. A key may be read by *nobody*.
- [x] Rows
  Yes. One unit each.
```
""",
]
CONFIG = """
extensions = ["myst_nb", "book_predict"]
nb_execution_mode = "off"
html_static_path = ["_static"]
html_theme = "basic"
"""


def as_cell(part: str | tuple[str, str, str]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"cell_type": "markdown", "metadata": {}, "source": part}
    source, printed, tag = part
    output = {"output_type": "stream", "name": "stdout", "text": printed}
    metadata = {"tags": [tag]}
    return {"cell_type": "code", "metadata": metadata, "source": source} | {
        "execution_count": 1,
        "outputs": [output],
    }


def build(folder: Path, parts: list[str | tuple[str, str, str]]) -> tuple[Path, str]:
    """Build one page from stored outputs; return it, and what the build warned of."""
    folder.mkdir(parents=True)
    (folder / "conf.py").write_text(CONFIG)
    static = folder / "_static"
    static.mkdir()
    for file in ("predict.js", "predict.css"):
        (static / file).write_text((ROOT / "book" / "_static" / file).read_text())
    notebook = {"cells": list(map(as_cell, parts)), "nbformat": 4, "nbformat_minor": 4}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (folder / "index.ipynb").write_text(json.dumps(notebook | {"metadata": kernel}))
    places = (folder, folder, folder / "html", folder / "trees", "html")
    with (folder / "warnings.txt").open("w") as warnings, docutils_namespace():
        Sphinx(*places, status=None, warning=warnings).build()
    return folder / "html" / "index.html", (folder / "warnings.txt").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page, warned = build(tmp_path_factory.mktemp("book") / "good", PARTS)
    assert warned == ""
    return page


# WebDriver BiDi has no word yet for a page without scripts, nor for a finger.
in_chromium = pytest.mark.parametrize("read", ["chromium"], indirect=True)


@pytest.fixture(params=["chromium", "firefox"])
def read(request: pytest.FixtureRequest, built: Path) -> Iterator[Callable[..., Page]]:
    browser: Browser = request.getfixturevalue(request.param)
    contexts = []
    complaints: list[str] = []

    def opened(**settings: Any) -> Page:
        contexts.append(browser.new_context(offline=True, **settings))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(built.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def waiting(page: Page, name: str) -> Any:
    return page.locator(f"details.waits[data-waits-for={name}]")


def test_output_and_explanation_open_with_the_choice(read: Callable[..., Page]) -> None:
    page = read()
    assert waiting(page, "spread").count() == 2
    assert not page.get_by_text("The root of 64.").is_visible()
    assert not page.get_by_text("spread: 8.1").is_visible()
    assert page.get_by_text("never looked at").is_visible()
    assert not page.get_by_text("times as long").first.is_visible()
    page.locator("#spread").get_by_role("button", name="64").click()
    assert page.get_by_text("The root of 64.").is_visible()
    assert page.get_by_text("spread: 8.1").is_visible()
    assert page.locator("#spread > .you-said").inner_text() == "You said 64; it is 8."
    assert page.locator("#spread [aria-pressed=true]").inner_text().endswith("64")
    assert not page.get_by_text("Launching.").is_visible()
    # The first answer counts.
    page.locator("#spread").get_by_role("button", name="1").click(force=True)
    assert page.locator("#spread > .you-said").inner_text() == "You said 64; it is 8."


def test_a_locked_box_leads_to_its_question(read: Callable[..., Page]) -> None:
    page = read()
    waiting(page, "spread").first.locator("summary").click()
    assert not page.get_by_text("spread: 8.1").is_visible()
    assert page.evaluate("document.activeElement.closest('.ask').id") == "spread"


def test_a_slider_answers_by_keys_with_the_number_of_the_run(read: Callable[..., Page]) -> None:
    page = read()
    slider = page.locator("#times input")
    slider.focus()
    assert slider.get_attribute("aria-valuetext") == "10 times"
    for key in ("ArrowRight", "ArrowRight", "Tab", "Enter"):
        page.keyboard.press(key)
    assert page.locator("#times > .you-said").inner_text() == (
        "You said 10 times; it was 12.4 times. Close."
    )
    assert page.get_by_text("Launching.").is_visible()
    assert page.get_by_text("also waiting").is_visible()
    assert page.evaluate("document.activeElement.id") == "times"


def test_a_slider_with_steps_is_close_within_a_tenth_of_its_length(
    read: Callable[..., Page],
) -> None:
    page = read()
    page.locator("#steps input").focus()
    page.keyboard.press("Home")
    page.locator("#steps").get_by_role("button", name="That is").click()
    assert page.locator("#steps > .you-said").inner_text() == "You said 0; it is 20."


def test_of_unmarked_choices_the_nearest_is_right(read: Callable[..., Page]) -> None:
    page = read()
    page.locator("#nearest").get_by_role("button", name="20").click()
    assert page.locator("#nearest > .you-said").inner_text() == (
        "You said “20 times”; it was 7.5. Right."
    )


def test_a_viewer_may_ask_and_answers_the_prediction_above_it(read: Callable[..., Page]) -> None:
    page = read()
    assert page.locator("#draw button").all_inner_texts() == ["Just show me"]
    event = "new CustomEvent('predicted', { bubbles: true, detail: 'You drew two.' })"
    page.evaluate(f"document.querySelector('.quiz').dispatchEvent({event})")
    assert page.locator("#draw > .you-said").inner_text() == "You drew two."
    assert page.get_by_text("What you drew.").is_visible()
    assert not page.get_by_text("By factors.").is_visible()
    page.reload()
    assert page.get_by_text("What you drew.").is_visible()
    assert "0 of 4 answered" in page.locator(".tally").inner_text()


def test_who_does_not_want_to_guess_is_shown(read: Callable[..., Page]) -> None:
    page = read()
    page.locator("#spread").get_by_role("button", name="Just show me").click()
    assert page.locator("#spread > .you-said").inner_text() == "It is 8."
    assert "0 of 4 answered" in page.locator(".tally").inner_text()


def test_answers_are_kept_counted_and_forgotten(read: Callable[..., Page]) -> None:
    page = read()
    page.locator("#spread").get_by_role("button", name="8").click()
    page.locator("#steps").get_by_role("button", name="That is").click()  # 20, half way
    page.locator("#sums").get_by_role("button", name="Columns").click()
    page.locator("#sums").get_by_role("button", name="Rows").click()
    counted = (
        "Your predictions on this page: 2 of 4 answered, 2 right or close. "
        "Questions: 1 of 1 answered, 0 right at the first try. "
    )
    assert page.locator(".tally").inner_text().startswith(counted)
    page.reload()
    assert page.locator(".tally").inner_text().startswith(counted)
    assert page.get_by_text("The root of 64.").is_visible()
    page.get_by_role("button", name="Forget my answers").click()
    expect(page.get_by_text("The root of 64.")).to_be_hidden()
    assert "0 of 4 answered" in page.locator(".tally").inner_text()


def test_a_quiz_explains_what_was_chosen(read: Callable[..., Page]) -> None:
    page = read()
    assert not page.get_by_text("One unit each").is_visible()
    columns = page.locator("#sums").get_by_role("button", name="Columns")
    columns.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("A key may be read").is_visible()
    assert columns.get_attribute("aria-expanded") == "true"
    assert not page.get_by_text("One unit each").is_visible()
    assert page.locator("#sums > .you-said").inner_text().startswith("Not that one.")
    page.locator("#sums").get_by_role("button", name="Rows").click()
    assert page.locator("#sums > .you-said").inner_text() == "Right."


def test_all_can_be_shown_and_that_is_remembered(read: Callable[..., Page]) -> None:
    page = read()
    page.get_by_role("button", name="Show all answers").click()
    page.reload()
    assert page.locator("details.waits:not([open])").count() == 0
    page.get_by_role("button", name="Let answers wait again").click()
    assert page.locator("details.waits[open]").count() == 0


def test_paper_shows_all_and_the_screen_waits_again(read: Callable[..., Page]) -> None:
    page = read()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.waits:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.waits[open]").count() == 0


@in_chromium
def test_without_javascript_it_is_plain_text_with_boxes_to_open(
    read: Callable[..., Page],
) -> None:
    page = read(java_script_enabled=False)
    assert page.locator("#spread li").all_inner_texts() == ["1", "8", "64"]
    assert not page.get_by_text("The root of 64.").is_visible()
    page.locator("summary", has_text="Explanation").first.click()
    assert page.get_by_text("The root of 64.").is_visible()
    page.locator("summary", has_text="Rows").click()
    assert page.get_by_text("One unit each").is_visible()
    assert not page.locator(".show-all").is_visible()
    assert not page.locator(".tally").is_visible()


def test_it_works_where_nothing_may_be_kept(read: Callable[..., Page]) -> None:
    page = read()
    page.add_init_script(
        """for (const name of ["getItem", "setItem"]) {
          const before = Storage.prototype[name];
          Storage.prototype[name] = function (key, ...rest) {
            if (key === "cleanformer-lite") throw new DOMException("refused", "SecurityError");
            return before.call(this, key, ...rest);
          };
        }"""
    )
    page.reload()
    page.locator("#spread").get_by_role("button", name="8").click()
    assert page.get_by_text("The root of 64.").is_visible()


@in_chromium
def test_nothing_moves_when_the_page_wakes_up(read: Callable[..., Page]) -> None:
    still, awake = read(java_script_enabled=False), read()
    where = "document.querySelector('#sums').getBoundingClientRect().top"
    # Sliders and their buttons exist with JavaScript alone; the choices keep their height.
    height = "[...document.querySelectorAll('.choices')].map((e) => Math.round(e.offsetHeight))"
    assert still.evaluate(height) == awake.evaluate(height)
    top = awake.evaluate(where)
    awake.reload()
    assert awake.evaluate(where) == top


@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_readable_to_everyone(read: Callable[..., Page], width: int) -> None:
    page = read(viewport={"width": width, "height": 800})
    page.locator("#spread").get_by_role("button", name="64").click()
    page.locator("#sums").get_by_role("button", name="Columns").click()
    words = ("ask", "choice", "waits", "tally", "you-said")
    found = violations(page)
    assert [rule for rule in found if any(word in rule for word in words)] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("# P\n\nText\n\n```{reveal} nothing\nText\n```\n", "waits for 'nothing'"),
        ("# P\n\nText\n\n```{predict} a\nQ\n- [ ] 1\n- [ ] 2\n```\n", "one of them marked"),
        (
            "# P\n\nText\n\n```{predict} a\n:slider: 0 9 1\n:answer-from: never:\nQ\n```\n",
            "no number",
        ),
        ("# P\n\nText\n\n```{quiz} a\nQ\n- [ ] 1\n- [x] 2\n```\n", "a reason below"),
    ],
)
def test_what_does_not_hold_together_is_a_warning(tmp_path: Path, part: str, says: str) -> None:
    assert says in build(tmp_path / "bad", [part])[1]


def test_a_cell_that_waits_for_nobody_is_a_warning(tmp_path: Path) -> None:
    cell = ("1", "2\n", "waits")
    assert "no prediction stands above" in build(tmp_path / "bad", ["# P\n\nText\n", cell])[1]
