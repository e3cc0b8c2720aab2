"""Sphinx extension: drop from the built site what no page uses, and what would weigh it down."""

import shutil
from pathlib import Path

from sphinx.application import Sphinx

# FontAwesome alone is 527 kB of script, gzipped: book/_static/icons.css draws the few icons shown.
UNUSED = ["vendor/fontawesome", "locales", "**/*.map", "**/*.LICENSE.txt"]


def drop_unused_files(app: Sphinx, exception: Exception | None) -> None:
    """Remove the files that `UNUSED` names once the site is written."""
    if exception is None and app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        for pattern in UNUSED:
            for path in static.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Wait for the end of the build."""
    app.connect("build-finished", drop_unused_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
