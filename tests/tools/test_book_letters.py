"""Letters of sizes explain themselves in prose, code spans and formulas, and nowhere else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from book_letters import parts, read_letters
from playwright.sync_api import Browser, Page
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tests.axe import violations

ROOT = Path(__file__).resolve().parents[2]
NOTATION = """---
orphan: true
---

# Letters

| letter | name in code | meaning |
|---|---|---|
| L | length | how many ask |
| H | `num_heads` | how many heads |
"""
PAGE = """# A page of H

With H heads, `(N, L)` and {math}`H + 2`. Not [H here](letters.md), nor in H's.

```python
H = 3
```

Again H, and L.
"""
CONFIG = f"""
import sys
sys.path.append({str(ROOT / "tools")!r})
extensions = ["myst_nb", "book_math", "book_letters"]
nb_execution_mode = "off"
html_static_path = ["_static"]
html_theme = "basic"
html_math_renderer = "mathml"
book_notation = "letters.md"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("letters")
    (folder / "conf.py").write_text(CONFIG)
    (folder / "_static").mkdir()
    for file in ("letters.js", "letters.css"):
        text = (ROOT / "book" / "_static" / file).read_text(encoding="utf8")
        # The real theme puts its article into an element of this class.
        (folder / "_static" / file).write_text(text.replace(".bd-article", "body"))
    (folder / "letters.md").write_text(NOTATION)
    (folder / "index.md").write_text(PAGE)
    out = folder / "html"
    with (folder / "warnings.txt").open("w") as warnings, docutils_namespace():
        app = Sphinx(folder, folder, out, folder / "t", "html", status=None, warning=warnings)
        app.build()
    assert (folder / "warnings.txt").read_text() == ""
    return out / "index.html"


# WebDriver BiDi has no word yet for a page without scripts, nor for a finger.
in_chromium = pytest.mark.parametrize("read", ["chromium"], indirect=True)


@pytest.fixture(params=["chromium", "firefox"])
def read(request: pytest.FixtureRequest, built: Path) -> Iterator[Callable[..., Page]]:
    browser: Browser = request.getfixturevalue(request.param)
    contexts = []

    def opened(**settings: Any) -> Page:
        contexts.append(browser.new_context(offline=True, **settings))
        page = contexts[-1].new_page()
        page.goto(built.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def test_the_notation_says_what_each_letter_means() -> None:
    notation = (ROOT / "book" / "notation.md").read_text(encoding="utf8")
    letters = read_letters(notation)
    assert "".join(letters) == "NLSEHD"
    assert letters["H"].startswith("num_heads: how many heads")
    with pytest.raises(ValueError, match="found none"):
        read_letters("# Nothing")


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("H heads of D numbers", "HD"),
        ("(N, L, E) -> (N, H, L, D)", "NLENHLD"),
        ("so is E. Then", "E"),
        ("E = H * D.", "EHD"),
        ("H's, N-gram, x.D, HD, a D2", ""),
    ],
)
def test_letters_are_found_and_names_are_not(text: str, marked: str) -> None:
    letters = dict.fromkeys("NLSEHD", "meaning")
    found = parts(text, letters)
    assert "".join(part.astext() for part in found) == text
    assert "".join(part.astext() for part in found if part.tagname == "Tag") == marked


@in_chromium
def test_without_javascript_a_letter_has_a_title(read: Callable[..., Page]) -> None:
    page = read(java_script_enabled=False)
    marked = page.locator("abbr.letter")
    assert marked.all_inner_texts() == ["H", "L", "H", "L"]
    assert marked.first.get_attribute("title") == "num_heads: how many heads"
    assert page.locator("code abbr.letter").count() == 1
    for part in ("h1", "a", "pre"):
        assert page.locator(f"{part} abbr.letter").count() == 0


def test_pointing_says_it_and_leaving_hides_it(read: Callable[..., Page]) -> None:
    page = read()
    says = page.locator("#letter-says")
    assert not says.is_visible()
    page.locator("abbr.letter").nth(1).hover()
    assert says.inner_text() == "L length: how many ask"
    page.mouse.move(0, 0)
    assert not says.is_visible()


def test_a_formula_says_it_too(read: Callable[..., Page]) -> None:
    page = read()
    page.locator("math mi", has_text="H").hover()
    assert page.locator("#letter-says").inner_text() == "H num_heads: how many heads"


@in_chromium
def test_a_tap_says_it_and_another_hides_it(read: Callable[..., Page]) -> None:
    page = read(has_touch=True, viewport={"width": 390, "height": 800})
    page.locator("abbr.letter").last.tap()
    assert page.locator("#letter-says").inner_text().startswith("L ")
    box = page.locator("#letter-says").bounding_box()
    assert box is not None
    assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
    page.locator("h1").first.tap()
    assert not page.locator("#letter-says").is_visible()


def test_the_first_of_each_is_reached_by_the_tab_key(read: Callable[..., Page]) -> None:
    page = read()
    assert page.locator("abbr.letter[tabindex='0']").all_inner_texts() == ["H", "L"]
    page.locator("abbr.letter").first.focus()
    assert page.locator("#letter-says").inner_text().startswith("H ")
    described = page.locator("abbr.letter").first.get_attribute("aria-describedby")
    assert described == "letter-says"
    page.keyboard.press("Escape")
    assert not page.locator("#letter-says").is_visible()
    found = violations(page)
    assert [rule for rule in found if "letter" in rule] == []
