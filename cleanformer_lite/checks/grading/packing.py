"""Pack grading for other places: a zip file for Gradescope, a workflow for GitHub."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cleanformer_lite
from cleanformer_lite.checks.grading.pages import template

PACKAGE = Path(cleanformer_lite.__file__).parent
LEFT_OUT = {"__pycache__", "recordings"}
REQUIREMENTS = ("torch>=2.6", "numpy", "safetensors>=0.4", "tqdm>=4.60", "jinja2>=3.1")
SCRIPT, TEXT = 0o100755 << 16, 0o100644 << 16  # modes, as a zip file holds them


def gradescope_zip(exercises: Sequence[str], partial: bool) -> bytes:
    """Return the zip file that Gradescope calls an autograder: two scripts and this package.

    Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
    """
    options = _options(exercises) + (" --partial" if partial else "")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "setup.sh", template("setup.sh", requirements=REQUIREMENTS), SCRIPT)
        _add(archive, "run_autograder", template("run_autograder", options=options), SCRIPT)
        for path in sorted(PACKAGE.rglob("*")):
            inside = path.relative_to(PACKAGE)
            if path.is_file() and not LEFT_OUT & set(inside.parts):
                _add(archive, f"cleanformer_lite/{inside.as_posix()}", path.read_bytes(), TEXT)
    return stream.getvalue()


def classroom_workflow(exercises: Sequence[str], install: str) -> str:
    """Return a workflow that grades each push of a learner's repository."""
    return template("classroom.yml", options=_options(exercises), install=install)


def _options(exercises: Sequence[str]) -> str:
    return "".join(f" --only {name}" for name in exercises)


def _add(archive: zipfile.ZipFile, name: str, content: str | bytes, mode: int) -> None:
    """Add a file with a mode and a fixed date, so that the zip file is always the same."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
