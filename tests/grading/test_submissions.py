"""Whatever lies in a folder is read, or named with what is wrong with it."""

import json
import os
from pathlib import Path

import pytest

from cleanformer_lite.checks.grading import submissions
from cleanformer_lite.checks.grading.jobs import notebook_cells
from cleanformer_lite.checks.grading.paper import grade_file
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.statements import without_magics
from cleanformer_lite.checks.grading.submissions import Submission, find, load, one_line, printable
from tests.grading.handed_in import MERGE, RIGHT, notebook

MIB = 2**20


def test_notebooks_give_their_code_cells_numbered_as_a_reader_counts() -> None:
    assert notebook_cells(notebook("x = 1\ny = 2", "z = 3")) == [
        ("cell 1", "x = 1\ny = 2"),
        ("cell 2", "z = 3"),
    ]
    text = '{"cells": [{"cell_type": "markdown", "source": "?"}, '
    text += '{"cell_type": "code", "source": "x"}]}'
    assert notebook_cells(text) == [("cell 2", "x")]


def test_a_byte_order_mark_and_a_capital_ending_are_borne(runner: Runner) -> None:
    text = "\ufeffdef merge_heads(x): pass".encode()
    outline = runner.read(Submission("a.py", text), ["split_heads.merge"])
    assert outline["answers"]["split_heads.merge"]["code"] == [["", 1, "def merge_heads(x): pass"]]
    cells = notebook("def merge_heads(x): pass").encode()
    assert runner.read(Submission("A.IPYNB", cells), ["split_heads.merge"])["answers"]


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("if True:\n    !ls\nx = 1", "if True:\n    pass\nx = 1"),
        ("files = !ls\nx = 1", "pass\nx = 1"),
        ("t = %timeit -o f()\nx = 1", "pass\nx = 1"),
        ("%time y = f()\nx = 1", "y = f()\nx = 1"),
        ("torch.softmax?\nx = 1", "pass\nx = 1"),
        ("%%time\nx = 1", "\nx = 1"),
        ("\n\n%%time\nx = 1", "\n\n\nx = 1"),
        ("if x:\n\n    !ls\n\n!ls", "if x:\n\n    pass\n\npass"),
        ("%%bash\nrm -r /", ""),
        ("%%html\n<p>", ""),
        ("x = (7\n  % 2)", "x = (7\n  % 2)"),
        ("text = '''\n!not a command\n'''", "text = '''\n!not a command\n'''"),
    ],
)
def test_what_only_ipython_understands_is_blanked(source: str, left: str) -> None:
    assert without_magics(source) == left


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.py", b"\xff\xfe"),
        ("a.ipynb", b""),
        ("a.ipynb", b'{"cells": 1}'),
        ("a.ipynb", b'{"cells": [1]}'),
        ("a.ipynb", b'{"cells": [{"cell_type": "code", "source": 1}]}'),
        ("a.ipynb", b"[" * 200_000),
        ("a.ipynb", b'{"cells": [' + b"[]," * 10_000_000 + b"[]]}"),
    ],
)
def test_a_broken_file_is_named(runner: Runner, name: str, content: bytes) -> None:
    assert "trouble" in runner.read(Submission(name, content), ["split_heads.merge"])


def test_a_notebook_of_31_mib_is_graded(runner: Runner) -> None:
    """Pictures make notebooks large; the limit is 32 MiB."""
    held = json.loads(notebook("x = 1", RIGHT))
    picture = {"output_type": "display_data", "data": {"image/png": "A" * (31 * MIB)}}
    held["cells"][0]["outputs"] = [picture]
    content = json.dumps(held).encode()
    assert 31 * MIB < len(content) < submissions.LARGEST
    assert grade_file(runner, Submission("a.ipynb", content), [MERGE])[0].passed


def test_only_regular_files_of_bearable_size_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.py")  # reading it would wait for ever
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    (tmp_path / "large.py").write_text("x" * 11)
    monkeypatch.setattr(submissions, "LARGEST", 10)
    troubles = [load(path).trouble for path in find(tmp_path).files]
    assert [trouble and trouble[0] for trouble in troubles] == ["refused"] * 3
    assert load(tmp_path / "gone.py").trouble is not None


def test_files_are_found_in_folders_but_not_in_caches_or_results(tmp_path: Path) -> None:
    for name in ("b/x.ipynb", "a.py", ".hidden/x.py", "b/.ipynb_checkpoints/x.ipynb", "out/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    for name in ("notes.txt", "b/all.ZIP", "b/C.IPYNB", ".DS_Store"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder.py").mkdir()
    found = find(tmp_path, leave_out=tmp_path / "out")
    names = [path.relative_to(tmp_path).as_posix() for path in found.files]
    assert names == ["a.py", "b/C.IPYNB", "b/x.ipynb"]
    assert found.skipped == [
        ("b/all.ZIP", "an archive: unpack it"),
        ("notes.txt", "neither a notebook nor a .py file: .txt"),
    ]


def test_a_link_that_leads_to_itself_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "circle").symlink_to(".")
    (tmp_path / "round").symlink_to("round")
    found = find(tmp_path, leave_out=tmp_path / "out")
    assert [path.name for path in found.files] == ["a.py", "loop.py"]
    assert [name for name, _ in found.skipped] == ["circle", "round"]
    assert load(found.files[1]).trouble is not None


def test_a_folder_without_submissions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds none"):
        find(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        find(tmp_path / "file")


def test_a_name_that_is_no_text_can_be_written(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py"))
    path.write_text("")
    assert load(path).name.encode("utf-8") == rb"\udcff.py"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\rb", "a\\rb"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("half \ud83d", "half \\ud83d"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("tä 한 🙂", "tä 한 🙂"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_text_of_strangers_can_be_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert "\n" not in one_line(text)
