"""Run the tests with the lowest versions that pyproject.toml claims, or with the newest there are.

Usage: python tools/try_versions.py lowest|newest [--python PYTHON] [TEST ...]. It makes an
environment of its own, .venv-lowest or .venv-newest, and needs a few gigabytes for PyTorch.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What tests need beyond the package, in the versions that the book is tested with: a newer
# Playwright does not start Firefox. The built book is tested with the pinned versions alone.
TOOLS = {
    "hypothesis",
    "ipykernel",
    "jsonschema",
    "nbclient",
    "nbformat",
    "playwright",
    "pybtex",
    "pytest",
}
TESTS = ["tests/test_inputs.py", "tests/test_imports.py", "tests/test_fused_heads.py",
         "tests/test_split_heads.py", "tests/test_threads.py", "tests/test_transformer.py",
         "tests/timing", "tests/checks", "tests/viewers", "tests/translation"]  # fmt: skip
NEEDS_LAB = ["--deselect=tests/viewers/test_jupyterlab.py"]


def lowest_versions(project: str) -> list[str]:
    """Pin every requirement of a pyproject.toml's text to the lowest version that it allows."""
    needed = project.split("[project]")[1].split("[project.scripts]")[0]
    extras = project.split("[project.optional-dependencies]")[1].split("[tool.")[0]
    found = re.findall(r'"([A-Za-z0-9_-]+)>=([0-9.]+)"', needed + extras)
    return sorted({f"{name}=={version}" for name, version in found})


def pins_of_tools(requirements: str) -> list[str]:
    """Take the pins of what tests need out of a requirements file's text."""
    lines = (line.split("#")[0].strip() for line in requirements.splitlines())
    return [line for line in lines if line.split("==")[0] in TOOLS]


def make_environment(which: str, python: str) -> Path:
    """Make the environment, and return its Python."""
    folder = ROOT / f".venv-{which}"
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    inside = folder / "bin" / "python"
    pins = lowest_versions((ROOT / "pyproject.toml").read_text()) if which == "lowest" else []
    command = [
        str(inside),
        "-m",
        "pip",
        "install",
        "--quiet",
        ".[book,dask,translator]",
        *TOOLS,
        *pins,
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    return inside


def main() -> int:
    """Make the environment, say what is in it, run the tests; returns their exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("lowest", "newest"))
    parser.add_argument("--python", default=sys.executable, help="makes the environment")
    parser.add_argument("tests", nargs="*", default=TESTS, metavar="TEST")
    chosen = parser.parse_args()
    inside = str(make_environment(chosen.which, chosen.python))
    subprocess.run([inside, "-m", "pip", "list"], check=True)
    command = [inside, "-m", "pytest", *chosen.tests, *NEEDS_LAB]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
