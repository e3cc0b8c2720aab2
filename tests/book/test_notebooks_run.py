"""Every notebook runs elsewhere than in the repository, with nothing but the package installed."""

from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from tests.book.conftest import CHAPTERS, ROOT


@pytest.mark.filterwarnings("ignore")  # what the kernel's client says of its own connection
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_it_runs_elsewhere(tmp_path: Path, chapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the book is built
    path = ROOT / "book" / f"{chapter}.ipynb"
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
    said = notebook.cells[1].outputs[0].text
    assert said.startswith("Device: ")
    assert ("no GPU" in said) != torch.cuda.is_available()
