"""Whatever lies in a folder is read, or named with what is wrong with it."""

import os
from pathlib import Path

import pytest

from cleanformer_lite.grading import submissions
from cleanformer_lite.grading.magics import without_magics
from cleanformer_lite.grading.submissions import find, load
from tests.grading.handed_in import notebook


def test_notebook_and_file_give_their_code(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(notebook("x = 1\ny = 2", "z = 3"))
    (tmp_path / "b.py").write_bytes("\ufeffx = 'ä'".encode())
    assert load(tmp_path / "a.ipynb").cells == (("cell 1", "x = 1\ny = 2"), ("cell 2", "z = 3"))
    assert load(tmp_path / "b.py").cells == (("", "x = 'ä'"),)


def test_text_cells_count_but_are_no_code(tmp_path: Path) -> None:
    text = '{"cells": [{"cell_type": "markdown", "source": "?"}, '
    (tmp_path / "a.ipynb").write_text(text + '{"cell_type": "code", "source": "x"}]}')
    assert load(tmp_path / "a.ipynb").cells == (("cell 2", "x"),)


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("if True:\n    !ls\nx = 1", "if True:\n    pass\nx = 1"),
        ("files = !ls\nx = 1", "pass\nx = 1"),
        ("t = %timeit -o f()\nx = 1", "pass\nx = 1"),
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
    ("name", "content", "status"),
    [
        ("a.py", b"\xff\xfe", "unreadable"),
        ("a.ipynb", b"", "unreadable"),
        ("a.ipynb", b'{"cells": 1}', "unreadable"),
        ("a.ipynb", b'{"cells": [1]}', "unreadable"),
        ("a.ipynb", b'{"cells": [{"cell_type": "code", "source": 1}]}', "unreadable"),
        ("a.ipynb", b"[" * 200_000, "unreadable"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes, status: str) -> None:
    (tmp_path / name).write_bytes(content)
    trouble = load(tmp_path / name).trouble
    assert trouble is not None
    assert trouble[0] == status


def test_only_regular_files_of_bearable_size_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.py")  # reading it would wait for ever
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    (tmp_path / "large.py").write_text("x" * 11)
    monkeypatch.setattr(submissions, "LARGEST", 10)
    troubles = [load(path).trouble for path in find(tmp_path)]
    assert [trouble and trouble[0] for trouble in troubles] == ["refused"] * 3
    assert load(tmp_path / "gone.py").trouble is not None


def test_files_are_found_in_folders_but_not_in_caches_or_results(tmp_path: Path) -> None:
    for name in ("b/x.ipynb", "a.py", ".hidden/x.py", "b/.ipynb_checkpoints/x.ipynb", "out/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "folder.py").mkdir()
    found = find(tmp_path, leave_out=tmp_path / "out")
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a.py", "b/x.ipynb"]


def test_a_folder_without_submissions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds none"):
        find(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        find(tmp_path / "file")


def test_fingerprint_follows_the_content_and_the_kind(tmp_path: Path) -> None:
    for name, text in (("a.py", "[]"), ("b.py", "[]"), ("c.py", "[1]"), ("d.ipynb", "[]")):
        (tmp_path / name).write_text(text)
    a, b, c, d = (load(path).digest for path in find(tmp_path))
    assert a == b
    assert len({a, c, d}) == 3


def test_a_name_that_is_no_text_can_be_written(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py"))
    path.write_text("")
    assert load(path).name.encode("utf-8") == rb"\udcff.py"
