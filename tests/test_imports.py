"""The package stays light to import. (Which file may import which: contracts in pyproject.toml.)"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cleanformer_lite"
DOORS = {"__init__", "__main__", "cli"}  # they lead to every floor
HEADS = sorted(file for file in PACKAGE.glob("*.py") if file.stem not in DOORS)
HEAVY = ["IPython", "anywidget", "bertviz", "ipywidgets", "matplotlib", "transformers"]
UPPER_FLOORS = {"viewers", "timing", "checks", "commands"}


def imported(file: Path) -> set[str]:
    """List the modules that a file imports anywhere in it, inside functions too."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    assert all(node.level == 0 for node in froms), "wanted imports by the whole name"
    modules = {node.module for node in froms if node.module}
    children = {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
    return plain | modules | {name for name in children if name.startswith("cleanformer_lite.")}


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, cleanformer_lite; print(cleanformer_lite.__file__, *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    file, *modules = done.stdout.split()
    assert Path(file) == PACKAGE / "__init__.py"
    assert "torch" in modules
    assert [name for name in HEAVY if name in modules] == []
    # Exercises, timing and viewers come when they are asked for, or a head would wait for them.
    upstairs = {name.split(".")[1] for name in modules if name.startswith("cleanformer_lite.")}
    assert upstairs & UPPER_FLOORS == set()


@pytest.mark.parametrize("file", HEADS, ids=lambda file: file.stem)
def test_heads_need_torch_and_the_standard_library(file: Path) -> None:
    roots = {name.split(".")[0] for name in imported(file)}
    assert roots <= {"torch", PACKAGE.name} | sys.stdlib_module_names
