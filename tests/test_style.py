"""The rules of how our code reads, as far as a machine can hold them."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import cleanformer_lite

PACKAGE = Path(__file__).parent.parent / "cleanformer_lite"
FILES = sorted(PACKAGE.rglob("*.py"))
CHAPTERS_BEFORE_EINSUM = [
    "single_head",
    "registration_bug",
    "looped_heads",
    "split_heads",
    "copy_weights",
    "inputs",
]
# Each could name anything: what do the rows hold, what was said?
VAGUE = {"facts", "keeper", "moved", "plain", "rows", "said", "workings"}
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
by_file = pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))


@by_file
def test_a_file_is_short(file: Path) -> None:
    # The heads are printed on pages; what stands behind the exercises may be a little longer.
    longest = 150 if file.parent == PACKAGE else 300
    assert len(file.read_text().splitlines()) <= longest


@by_file
def test_whatever_is_public_says_what_it_is_for(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 10))  # the oldest Python we promise
    assert ast.get_docstring(tree)
    public = [n for n in tree.body if isinstance(n, Definition) and not n.name.startswith("_")]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


@by_file
def test_a_name_says_what_it_holds(file: Path) -> None:
    named = {
        word.strip("_").lower()
        for node in ast.walk(ast.parse(file.read_text()))
        for field in ("id", "arg", "attr", "name")
        if isinstance(word := getattr(node, field, None), str)
    }
    assert named & VAGUE == set()
    assert file.stem not in VAGUE


@pytest.mark.parametrize("name", sorted(cleanformer_lite.__all__))
def test_what_takes_tensors_gives_shapes_and_source(name: str) -> None:
    thing = getattr(cleanformer_lite, name)
    text = inspect.getdoc(thing) or ""
    without_tensors = {"copy_weights", "check", "Expect", "assert_attention"}
    wanted = ["Raises:"] if name in without_tensors else ["Shapes"]
    wanted += [] if "SPECIMEN" in text else ["Raises:"]
    wanted += ["Source:"] if inspect.isclass(thing) and name != "Expect" else []
    assert [word for word in wanted if word not in text] == []


@pytest.mark.parametrize("name", CHAPTERS_BEFORE_EINSUM)
def test_no_einsum_before_its_chapter(name: str) -> None:
    assert "einsum" not in (PACKAGE / f"{name}.py").read_text()


def test_deliberate_bugs_live_in_the_specimen_file_only() -> None:
    heads = [file for file in FILES if file.parent == PACKAGE]
    labelled = [f.stem for f in heads if re.search(r"The bug:|SPECIMEN", f.read_text())]
    assert labelled == ["registration_bug"]
