"""One style sheet for the book: what something needs stays, what nothing needs goes."""

from pathlib import Path

import pytest
import tinycss2
from book_styles import drop_unused_variables, lead_from_book, purge, read_names


def purged(css: str, names: set[str]) -> str:
    return "\n".join(purge(tinycss2.parse_stylesheet(css, True, True), names))


@pytest.mark.parametrize(
    "selector",
    [
        ".card",
        "p.card",
        "p > .card:hover",
        "#main .card::after",
        ".card:not(.absent)",
        ":is(.absent, .card)",
        "*",
        ":root",
        "[data-theme=dark] .card",
    ],
)
def test_a_rule_stays_whose_names_are_all_there(selector: str) -> None:
    assert purged(f"{selector} {{ color: red; }}", {"p", "card", "main"}) == (
        f"{selector} {{color: red;}}"
    )


@pytest.mark.parametrize("selector", [".absent", "p.absent", "table", "#no .card", "p ~ .absent"])
def test_a_rule_goes_that_names_what_is_nowhere(selector: str) -> None:
    assert purged(f"{selector} {{ color: red; }}", {"p", "card"}) == ""
    # Of a list of selectors the others stay.
    assert purged(f".card, {selector} {{ top: 0 }}", {"p", "card"}) == ".card {top: 0}"


def test_conditions_are_looked_into_and_what_is_no_rule_stays() -> None:
    css = "@media print { .card { top: 0 } .absent { top: 1px } } @media print { i { top: 0 } }"
    assert "".join(purged(css, {"card"}).split()) == "@mediaprint{.card{top:0}}"
    kept = "@keyframes turn { to { rotate: 1turn } }"
    assert purged(kept, set()).split() == kept.split()
    with pytest.raises(ValueError, match="wanted a style sheet"):
        purged("p { top: 0 } }", {"p"})


def test_a_variable_goes_that_nothing_reads_and_what_only_it_has_read() -> None:
    css = (
        'p {--bs-a: url("data:a;b{}"); --bs-b: var(--bs-c); --bs-c: 2px; --bs-d: 3px;'
        " --own: 1; top: var(--bs-d, 0)}"
    )
    assert drop_unused_variables(css, set()) == "p { --bs-d: 3px; --own: 1; top: var(--bs-d, 0)}"
    assert "--bs-c: 2px" in drop_unused_variables(css, {"--bs-c"})


def test_names_come_from_pages_and_scripts(tmp_path: Path) -> None:
    (tmp_path / "_static").mkdir()
    (tmp_path / "a.html").write_text(
        '<p class="one two" id="three" title="no">prose</p><script>add("four")</script>'
    )
    (tmp_path / "_static" / "b.js").write_text("list.add('five-and');")
    names = read_names(tmp_path)
    assert {"p", "one", "two", "three", "four", "five-and"} <= names
    assert not {"no", "prose"} & names


def test_a_file_is_named_as_seen_from_the_books_own_sheet() -> None:
    css = 'a { src: url(x.png) } b { src: url("data:image/svg+xml;x") }'
    assert lead_from_book(css, "_static/styles/theme.css") == (
        'a { src: url("styles/x.png") } b { src: url("data:image/svg+xml;x") }'
    )
    assert 'url("../other/x.png")' in lead_from_book("a { src: url(x.png) }", "other/theme.css")
