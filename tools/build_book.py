"""Build the book into _build/html: at once if nothing changed, never with older code's output."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from revision import read_commit

# What a cell's output depends on besides its page, and what the look of a page depends on besides
# that. Neither the execution cache nor Sphinx looks at these.
OUTPUTS = ["cleanformer_lite", "requirements.txt", "tools/build_book.py"]
LOOK = [*OUTPUTS, "tools", "_config.yml", "_toc.yml", "book/_static", "book/_templates"]
EVERYTHING = [*LOOK, "book"]
KEPT = {
    "outputs": (OUTPUTS, [".jupyter_cache"]),
    "look": (LOOK, [".doctrees", "jupyter_execute", "html"]),
}
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")
COLOURS = {"NO_COLOR": "1"} if not sys.stdout.isatty() else {}


def files_below(root: Path, names: Iterable[str]) -> list[Path]:
    """List the files that `names` stand for, without what Python leaves beside its sources."""
    found: list[Path] = []
    for name in names:
        path = root / name
        found += [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [p for p in found if "__pycache__" not in p.parts and p.suffix != ".ipynb"]


def digest(root: Path, names: Iterable[str]) -> str:
    """Hash names and contents: a file moved, removed or given an old date counts as a change."""
    total = hashlib.sha256(sys.version.encode())
    for path in files_below(root, names):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root)} {content}\n".encode())
    return total.hexdigest()


def drop_what_older_code_left(root: Path) -> None:
    """Remove cached outputs and parsed pages if what they came from has changed."""
    (root / "_build").mkdir(exist_ok=True)
    for kind, (sources, folders) in KEPT.items():
        stamp = root / "_build" / f"{kind}.sha256"
        now = digest(root, sources)
        if not stamp.exists() or stamp.read_text() != now:
            for folder in folders:
                shutil.rmtree(root / "_build" / folder, ignore_errors=True)
            stamp.write_text(now)


def run_jupyter_book(root: Path) -> int:
    """Run Jupyter Book; without -W it would exit with 0 although a cell raised."""
    command = [str(JUPYTER_BOOK), "build", str(root), "-n", "-W", "--keep-going"]
    paths = [str(root), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        **COLOURS,
        # At these sizes threads cost more than they save, and sums then depend on their number.
        "OMP_NUM_THREADS": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one in the home folder
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    return subprocess.run(command, env=environment, check=False).returncode


def show_failure(root: Path) -> None:
    """Print what failing cells said; forget the parsed pages, which would pass next time."""
    for report in sorted((root / "_build" / "html" / "reports").rglob("*.log")):
        print(f"\n--- {report.name}\n{report.read_text()}", file=sys.stderr)
    for name in (".doctrees", "html"):
        shutil.rmtree(root / "_build" / name, ignore_errors=True)
    print("The book was not built: see the warnings above.", file=sys.stderr)


def build(root: Path) -> int:
    """Build the book at `root` if anything changed since the last time; return the exit status."""
    page = root / "_build" / "html" / "index.html"
    stamp = root / "_build" / "html.sha256"
    inputs = f"{digest(root, EVERYTHING)} {read_commit(root, EVERYTHING)}"
    if not page.exists() or not stamp.exists() or stamp.read_text() != inputs:
        stamp.unlink(missing_ok=True)
        drop_what_older_code_left(root)
        status = run_jupyter_book(root)
        if status != 0:
            show_failure(root)
            return status
        stamp.write_text(inputs)
    print(f"The book: {page.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(build(Path(__file__).resolve().parent.parent))
