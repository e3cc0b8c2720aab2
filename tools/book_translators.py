"""Sphinx extension: weights that a page loads only when its reader asks for them.

They stand in `_static/translators/`, one script for each model, made from the package's recordings.
"""

from pathlib import Path

from sphinx.application import Sphinx

from cleanformer_lite.files import write_file
from cleanformer_lite.viewers.live_translator import weight_files


def write_weights(app: Sphinx, error: Exception | None) -> None:
    """Put the scripts beside the pages, once these are written."""
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "translators"
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in weight_files().items():
        write_file(folder / name, script)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", write_weights)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
