"""The README's tree and commands, held against the disk."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tracked() -> set[str]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listing.stdout.splitlines() if (ROOT / name).exists()}


def tree() -> set[str]:
    """Read the paths of the fenced tree: a folder ends in a slash, its entries are indented."""
    block = re.search(r"```\n(README\.md.*?)```", README, re.S)
    assert block is not None
    paths, folder = set(), ""
    for line in block.group(1).splitlines():
        names = line.split("  #")[0]
        if not line.startswith(" "):
            folder = ""
        for name in names.split():
            if name.endswith("/") and not line.startswith(" "):
                folder = name
                paths.add(name)
            else:
                paths.add(folder + name if line.startswith(" ") else name)
    return paths


def test_everything_in_the_tree_is_on_the_disk() -> None:
    missing = [path for path in tree() if not list(ROOT.glob(path.rstrip("/")))]
    assert not missing


def test_everything_on_the_disk_is_in_the_tree() -> None:
    named = tree()
    top = {name.split("/")[0] + ("/" if "/" in name else "") for name in tracked()}
    unnamed = {name for name in top if not name.startswith(".")} - named
    assert not unnamed
    package = {
        "/".join(name.split("/")[:2]) + ("/" if name.count("/") > 1 else "")
        for name in tracked()
        if name.startswith("cleanformer_lite/") and not name.endswith(("__init__.py", "py.typed"))
    }
    assert not package - named


def test_every_make_target_that_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    assert {"book", "test"} <= set(re.findall(r"make (\w+)", README)) <= targets


def test_its_examples_run_and_the_first_names_the_bug(capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(first, "README.md", "exec"), {})
    assert "BUG [plain_list]" in capsys.readouterr().out
    assert others
    for example in others:
        exec(compile(example, "README.md", "exec"), {})
