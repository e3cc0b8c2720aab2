"""A card that keeps a reader's points: a download and an upload, for machines that are lost."""

import base64
import sys
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from cleanformer_lite.checks import keep_progress
from cleanformer_lite.checks.progress import FILE, Progress

WIDGET = "application/vnd.jupyter.widget-view+json"
LOST = (
    "Colab's machine is lost when you leave, its files with it, and each chapter gets a machine of "
    "its own. So download your points when you stop, and upload them in the next chapter."
)
STAYS = "Download your points when you stop, and upload them where you go on."
DRIVE = f"""from google.colab import drive; drive.mount("/content/drive")
keep_progress("/content/drive/MyDrive/{FILE}")"""


class ProgressCard:
    """What becomes of the points, a button to download them and one to upload them.

    In Colab results are kept in a file from the start, elsewhere from the first click on.
    """

    def __init__(self, path: str | Path = FILE) -> None:
        import ipywidgets

        self.path = Path(path)
        self.progress: Progress | None = None
        self.in_colab = "google.colab" in sys.modules
        if self.in_colab:
            self._keep()
        self.download = ipywidgets.Button(description="Download", icon="download")
        self.upload = ipywidgets.FileUpload(accept=".json", multiple=False, description="Upload")
        self.message = ipywidgets.HTML()
        buttons = ipywidgets.HBox([self.download, self.upload], layout={"flex_flow": "row wrap"})
        self.box = ipywidgets.VBox([ipywidgets.HTML(self.page()), buttons, self.message])
        self.download.on_click(lambda _: self._download())
        self.upload.observe(lambda change: self._take(change["new"]), names="value")

    def page(self) -> str:
        """Return what a reader without a kernel is told, as HTML."""
        return (
            "<details data-follows-theme><summary>Keep your points</summary>"
            f"<p>{escape(LOST if self.in_colab else STAYS)} With Google Drive, two lines in a cell "
            f"keep them for all chapters:</p><pre>{escape(DRIVE)}</pre></details>"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        bundle: dict[str, Any] = {"text/plain": "Keep your points", WIDGET: view}
        return bundle if self.in_colab else {**bundle, "text/html": self.page()}

    def _keep(self) -> Progress:
        if self.progress is None:
            self.progress = keep_progress(self.path)
        return self.progress

    def _download(self) -> None:
        """Save the points, and hand the file over."""
        try:
            path = self._keep().save(self.path)
        except (OSError, ValueError) as error:
            self._say(str(error))
            return
        if self.in_colab:
            from google.colab import files  # type: ignore[import-not-found]

            files.download(str(path))
            self._say(f"{self._keep().points} points downloaded.")
            return
        data = base64.b64encode(path.read_bytes()).decode()
        self.message.value = (
            f'<a download="{escape(path.name)}" href="data:application/json;base64,{data}">'
            f"Save {escape(path.name)}</a>, {self._keep().points} points"
        )

    def _take(self, uploaded: Any) -> None:
        """Take over the points of an uploaded file: the better result of each exercise counts."""
        content = _content_of(uploaded)
        if content is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / FILE
            file.write_bytes(content)
            try:
                self._keep().merge(Progress.load(file))
            except (OSError, ValueError) as error:
                self._say(str(error).replace(str(file), "the uploaded file"))
                return
        self._say(f"{self._keep().points} points are kept here now.")

    def _say(self, text: str) -> None:
        self.message.value = f'<p role="status">{escape(text)}</p>'


def _content_of(uploaded: Any) -> bytes | None:
    """Read what was uploaded: ipywidgets 7 gives a dictionary by name, ipywidgets 8 a sequence."""
    files = list(uploaded.values()) if isinstance(uploaded, Mapping) else list(uploaded)
    return bytes(files[-1]["content"]) if files else None


def keep_points(path: str | Path = FILE) -> ProgressCard:
    """Show what becomes of the points of this notebook, with a download and an upload.

    Raises: ValueError, naming the file, if the one that is there is damaged.
    """
    return ProgressCard(path)
