"""Every file says the same, whatever names learners give their files."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cleanformer_lite.grading.misconceptions import count, page
from cleanformer_lite.grading.outputs import COLUMNS, gradescope, write_all
from cleanformer_lite.grading.verdict import Graded

NASTY = "=1+1,\"<script>alert(1)</script>&\x00'\n.py"
ROWS = [
    Graded("a.py", "split_heads.split", 2, 2, "passed"),
    Graded("a.py", "split_heads.merge", 0, 3, "failed", ("merge_without_transpose",), ("values",)),
    Graded(NASTY, "split_heads.split", 0, 2, "timeout", message="<b>stopped</b>"),
    Graded(NASTY, "split_heads.merge", 0, 3, "failed", ("one", "merge_without_transpose"), ("v",)),
    Graded("c.py", "split_heads.split", 0, 2, "missing"),
    Graded("c.py", "split_heads.merge", 0, 3, "failed", (), ("<i>shape</i>",), "said"),
]


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_grades_have_one_row_per_submission_and_exercise(tmp_path: Path) -> None:
    write_all(tmp_path, ROWS)
    table = read(tmp_path / "grades.csv")
    assert list(table[0]) == ["submission", "exercise", "points", "max_points", "status", "species"]
    assert list(table[1].values()) == [
        *("a.py", "split_heads.merge", "0", "3", "failed", "merge_without_transpose")
    ]
    assert table[3]["species"] == "one merge_without_transpose"
    assert len(table) == len(ROWS)
    assert len(COLUMNS) == 6


def test_a_name_does_not_become_a_formula(tmp_path: Path) -> None:
    write_all(tmp_path, ROWS)
    assert read(tmp_path / "grades.csv")[2]["submission"] == f"'{NASTY}"


def test_json_holds_everything(tmp_path: Path) -> None:
    write_all(tmp_path, ROWS)
    held = json.loads((tmp_path / "grades.json").read_text())
    assert held["grades"] == json.loads(json.dumps([row.as_dict() for row in ROWS]))
    assert "process of its own" in held["isolation"]


def test_junit_counts_every_kind(tmp_path: Path) -> None:
    write_all(tmp_path, ROWS)
    suites = ET.parse(tmp_path / "junit.xml").getroot()
    kinds = ("tests", "failures", "errors", "skipped")
    assert [[suite.get(kind) for kind in kinds] for suite in suites] == [
        ["2", "1", "0", "0"],
        ["2", "1", "1", "0"],
        ["2", "1", "0", "1"],
    ]
    failure = suites[0][1][0]
    assert (failure.tag, failure.get("message")) == ("failure", "failed, merge_without_transpose")
    assert failure.text == "values"


def test_gradescope_gets_a_score_and_a_test_for_each_exercise() -> None:
    result = gradescope(ROWS[:2])
    assert result["score"] == 2
    assert [(t["name"], t["score"], t["max_score"], t["status"]) for t in result["tests"]] == [
        ("split_heads.split", 2, 2, "passed"),
        ("split_heads.merge", 0, 3, "failed"),
    ]
    assert "merge_without_transpose" in result["tests"][1]["output"]
    assert gradescope(ROWS)["tests"][0]["name"] == "a.py: split_heads.split"


def test_a_learner_counts_once_for_a_mistake_and_is_certain_or_not() -> None:
    more = [*ROWS, Graded("a.py", "other", 0, 1, "failed", ("merge_without_transpose",))]
    counted = [(m.species, len(m.surely), len(m.possibly), len(m.exercises)) for m in count(more)]
    assert counted == [("merge_without_transpose", 1, 1, 2), ("one", 0, 1, 1)]


def test_page_shows_numbers_and_runs_nothing_of_theirs() -> None:
    text = page(ROWS)
    assert "perhaps 1 more" in text
    assert "What 3 submissions show" in text
    assert "&lt;i&gt;shape&lt;/i&gt;" in text
    tags: set[str] = set()
    addresses: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            addresses.extend(v or "" for k, v in attrs if k in ("src", "href"))

    Reader().feed(text)
    assert not tags & {"script", "b", "i", "link", "img"}
    assert not [address for address in addresses if not address.startswith("https://github.com/")]


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path, ROWS)
    before = (tmp_path / "grades.csv").read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_all(tmp_path, ROWS[:1])
    assert (tmp_path / "grades.csv").read_bytes() == before
    assert not list(tmp_path.glob(".*"))
