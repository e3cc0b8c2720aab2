"""Whose files these are."""

from pathlib import Path

import pytest

from cleanformer_lite.checks.grading.learners import name_of, read_roster


@pytest.mark.parametrize(
    ("path", "pattern", "name"),
    [
        ("ann.py", None, "ann.py"),
        ("ann/1.ipynb", None, "ann"),
        ("ann/week 1/1.ipynb", None, "ann"),
        ("ann_1.ipynb", "{name}_*", "ann"),
        ("ann_b_1.ipynb", "{name}_*", "ann"),
        ("week1/ann_1.ipynb", "{name}_*", "ann"),
        ("week1/ann.ipynb", "*/{name}.ipynb", "ann"),
        ("a/b/ann.ipynb", "*/{name}.ipynb", "ann"),
        ("Ann B_1234_file_/x.ipynb", "{name}_*_file_/*", "Ann B"),
        ("(1)+ann.py", "(1)+{name}.py", "ann"),
        ("fits not.py", "{name}_*", "fits not.py"),
        ("week1/fits not.py", "{name}_*", "week1/fits not.py"),
    ],
)
def test_a_learner_is_a_folder_or_what_a_pattern_finds(
    path: str, pattern: str | None, name: str
) -> None:
    assert name_of(path, pattern) == name


@pytest.mark.parametrize("pattern", ["*", "name_*", "{name}_{name}", ""])
def test_a_pattern_names_the_learner_once(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"one \{name\}"):
        name_of("a.py", pattern)


def test_a_roster_has_names_first_and_any_columns(tmp_path: Path) -> None:
    roster = tmp_path / "roster.csv"
    roster.write_text("\ufefflogin,ID\r\nann, 7 \r\n'bob\u202e',8\r\n", encoding="utf-8")
    assert read_roster(roster) == [
        {"login": "ann", "ID": "7"},
        {"login": "'bob\\u202e'", "ID": "8"},
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "a name in the first column"),
        (b"name,ID\nann,1\n,2\n", "a name in the first column"),
        (b"name\nann\nann\n", "got twice: ann"),
        (b"name\n\xff\xfe\n", "UTF-8"),
    ],
)
def test_what_is_no_roster_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "roster.csv").write_bytes(content)
    with pytest.raises(ValueError, match=why):
        read_roster(tmp_path / "roster.csv")
