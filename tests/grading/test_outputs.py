"""Every file says the same, whatever names learners give their files."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cleanformer_lite.checks.grading.grade import Course, bring_together
from cleanformer_lite.checks.grading.outputs import gradescope, read_course, write_all
from cleanformer_lite.checks.grading.pages import (
    count,
    learner_page,
    misconceptions_page,
    page_name,
)
from cleanformer_lite.checks.grading.result import Result
from cleanformer_lite.checks.grading.sandbox import Sandbox

SANDBOX = Sandbox(bubblewrap=False, landlock=3, seccomp=True, users=False)
SPLIT, MERGE = "split_heads.split", "split_heads.merge"
NASTY = "=1+1,\"<script>alert(1)</script>&'.py"


def row(learner: str, exercise: str, status: str, **more: object) -> Result:
    points = {SPLIT: 2, MERGE: 3}[exercise]
    told = {"submission": learner, "card": f"card of {status}", **more}
    scored = points if status == "passed" else 0
    return Result(exercise, status, scored, points, learner=learner, **told)  # type: ignore[arg-type]


ROWS = [
    row("a.py", SPLIT, "passed"),
    row("a.py", MERGE, "failed", species=("merge_without_transpose",), failed=("values",)),
    row(NASTY, SPLIT, "timeout", card="<b>stopped</b>\n=cmd()"),
    row(NASTY, MERGE, "failed", species=("one", "merge_without_transpose"), failed=("v",)),
    row("c.py", SPLIT, "missing"),
    row("c.py", MERGE, "failed", failed=("<i>shape</i>",), message="said"),
]


def course(rows: list[Result], roster: list[dict[str, str]] | None = None) -> Course:
    return bring_together(rows, roster, [SPLIT, MERGE], [("b.zip", "an archive: unpack it")])


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_grades_have_one_row_per_learner_and_exercise(tmp_path: Path) -> None:
    write_all(tmp_path, course(ROWS), SANDBOX)
    table = read(tmp_path / "grades.csv")
    assert list(table[0]) == [
        *("submission", "exercise", "points", "max_points", "status", "species"),
        *("learner", "card", "notes", "flags"),
    ]
    by_learner = {(entry["learner"], entry["exercise"]): entry for entry in table}
    assert list(by_learner["a.py", MERGE].values())[:6] == [
        *("a.py", MERGE, "0", "3", "failed", "merge_without_transpose")
    ]
    assert by_learner["a.py", MERGE]["card"] == "card of failed"
    assert by_learner[f"'{NASTY}", MERGE]["species"] == "one merge_without_transpose"
    assert len(table) == len(ROWS)


def test_no_line_of_a_cell_becomes_a_formula(tmp_path: Path) -> None:
    write_all(tmp_path, course(ROWS), SANDBOX)
    (entry,) = [e for e in read(tmp_path / "grades.csv") if e["status"] == "timeout"]
    assert entry["submission"] == f"'{NASTY}"
    assert entry["card"] == "<b>stopped</b>\n'=cmd()"
    text = (tmp_path / "grades.csv").read_text()
    assert not [line for line in text.splitlines() if line[:1] in "=+-@"]


def test_json_holds_everything_and_parts_are_brought_together(tmp_path: Path) -> None:
    for name, rows in (("one", ROWS[:2]), ("two", ROWS[2:])):
        (tmp_path / name).mkdir()
        write_all(tmp_path / name, course(rows), SANDBOX)
    held = json.loads((tmp_path / "one" / "grades.json").read_text())
    assert held["grades"] == json.loads(json.dumps([r.as_dict() for r in ROWS[:2]]))
    assert "process of its own" in held["isolation"]
    assert held["what stays open"] == SANDBOX.open_ways()
    merged = read_course([tmp_path / "one", tmp_path / "two"])
    assert merged == course(ROWS)
    (tmp_path / "two" / "grades.json").write_text("{}")
    with pytest.raises(ValueError, match="of this version"):
        read_course([tmp_path / "two"])


def test_a_learner_is_the_best_of_all_files(tmp_path: Path) -> None:
    files = [
        row("ann", SPLIT, "missing", submission="ann/1.ipynb"),
        row("ann", MERGE, "passed", submission="ann/1.ipynb"),
        row("ann", SPLIT, "failed", submission="ann/2.ipynb"),
        row("ann", MERGE, "crashed", submission="ann/2.ipynb"),
    ]
    roster = [{"name": "ann", "ID": "7"}, {"name": "bob", "ID": "8"}]
    gathered = course([*files, row("eve", SPLIT, "passed")], roster)
    ann, bob, eve = gathered.learners
    assert (ann.points, ann.max_points, len(ann.files)) == (3, 5, 2)
    assert [r.status for r in ann.results.values()] == ["failed", "passed"]
    assert (bob.points, bob.files, bob.listed, eve.listed) == (0, [], True, False)
    write_all(tmp_path, gathered, SANDBOX)
    lines = read(tmp_path / "learners.csv")
    assert [(e["learner"], e["ID"], e["split_heads"], e["points"], e["files"]) for e in lines] == [
        ("ann", "7", "3", "3", "2"),
        ("bob", "8", "0", "0", "0"),
        ("eve", "", "2", "2", "1"),
    ]
    assert [e["on the roster"] for e in lines] == ["yes", "yes", "no"]
    page = misconceptions_page(gathered)
    assert "Handed in nothing" in page
    assert "b.zip: an archive: unpack it" in page


def test_course_systems_get_what_they_import(tmp_path: Path) -> None:
    roster = [
        {"name": "ann", "Student": "Ann A", "ID": "7", "Section": "1", "Email address": "a@x"},
        {"name": "bob", "Student": "Bob B", "ID": "8", "Section": "1", "Email address": "b@x"},
    ]
    write_all(tmp_path, course([row("ann", SPLIT, "passed")], roster), SANDBOX)
    canvas = read(tmp_path / "canvas.csv")
    assert list(canvas[0]) == [
        *("Student", "ID", "SIS User ID", "SIS Login ID", "Section", "cleanformer_lite")
    ]
    assert [list(entry.values()) for entry in canvas] == [
        ["    Points Possible", "", "", "", "", "4"],
        ["Ann A", "7", "", "", "1", "2"],
        ["Bob B", "8", "", "", "1", ""],
    ]
    moodle = read(tmp_path / "moodle.csv")
    assert [(e["Email address"], e["cleanformer_lite"]) for e in moodle] == [
        ("a@x", "2"),
        ("b@x", ""),
    ]
    assert moodle[0]["cleanformer_lite feedback"] == "split_heads: 2 of 4"


def test_junit_counts_every_kind(tmp_path: Path) -> None:
    write_all(tmp_path, course(ROWS), SANDBOX)
    suites = {s.get("name"): s for s in ET.parse(tmp_path / "junit.xml").getroot()}
    kinds = ("tests", "failures", "errors", "skipped")
    assert {name: [s.get(kind) for kind in kinds] for name, s in suites.items()} == {
        "a.py": ["2", "1", "0", "0"],
        NASTY: ["2", "1", "1", "0"],
        "c.py": ["2", "1", "0", "1"],
    }
    failure = suites["a.py"][1][0]
    assert (failure.tag, failure.get("message")) == ("failure", "failed, merge_without_transpose")
    assert failure.text == "card of failed"


def test_gradescope_gets_a_score_and_a_test_for_each_exercise() -> None:
    result = gradescope(course(ROWS[:2]).learners)
    assert result["score"] == 2
    assert [(t["name"], t["score"], t["max_score"], t["status"]) for t in result["tests"]] == [
        (SPLIT, 2, 2, "passed"),
        (MERGE, 0, 3, "failed"),
    ]
    assert result["tests"][1]["output"] == "card of failed"
    assert gradescope(course(ROWS).learners)["tests"][2]["name"] == f"a.py: {SPLIT}"
    nothing = gradescope(course([], [{"name": "submission"}]).learners)
    assert (nothing["score"], nothing["output"]) == (0, "Nothing was handed in.")


def test_a_learner_counts_once_for_a_mistake_and_is_certain_or_not() -> None:
    more = [*ROWS, row("a.py", SPLIT, "failed", species=("merge_without_transpose",))]
    counted = [(m.species, len(m.surely), len(m.possibly), len(m.exercises)) for m in count(more)]
    assert counted == [("merge_without_transpose", 1, 1, 2), ("one", 0, 1, 1)]


@pytest.mark.parametrize("whose", ["teacher", "learner"])
def test_pages_run_nothing_of_theirs(whose: str) -> None:
    gathered = course(ROWS)
    nasty = next(learner for learner in gathered.learners if learner.name == NASTY)
    text = misconceptions_page(gathered) if whose == "teacher" else learner_page(nasty)
    told = ["What 3 learners show", "perhaps 1 more", "1 (33 %)", "&lt;i&gt;shape&lt;/i&gt;"]
    if whose == "learner":
        told = ["&lt;script&gt;", "&lt;b&gt;stopped&lt;/b&gt;", "0 of 5 points"]
    assert [words for words in told if words not in text] == []
    tags: set[str] = set()
    addresses: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            addresses.extend(v or "" for k, v in attrs if k in ("src", "href"))

    Reader().feed(text)
    assert not tags & {"script", "b", "i", "link", "img"}
    ours = ("https://github.com/", "learners/", "#")
    assert not [address for address in addresses if not address.startswith(ours)]


def test_every_learner_has_a_page_of_a_safe_name(tmp_path: Path) -> None:
    names = ["ann", "Ann", "ANN", "../ann", "a/n", "", "ä", "x" * 300, ".", NASTY]
    pages = [page_name(name) for name in names]
    assert len(set(map(str.lower, pages))) == len(names)
    assert all(len(page) < 100 and "/" not in page and page[0] != "." for page in pages)
    write_all(tmp_path, course(ROWS), SANDBOX)
    assert sorted(path.name for path in (tmp_path / "learners").iterdir()) == sorted(
        page_name(name) for name in ("a.py", NASTY, "c.py")
    )


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path, course(ROWS), SANDBOX)
    before = (tmp_path / "grades.csv").read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_all(tmp_path, course(ROWS[:1]), SANDBOX)
    assert (tmp_path / "grades.csv").read_bytes() == before
    assert not list(tmp_path.glob(".*"))
