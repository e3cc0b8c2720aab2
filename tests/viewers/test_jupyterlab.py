"""A viewer in JupyterLab itself, with its own widget manager, kernel and keyboard shortcuts."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import nbformat
import pytest
import torch
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
CELL = """import torch
from cleanformer_lite.viewers import explore_heads, with_sentence
torch.manual_seed(0)
scores = torch.randn(3, 5, 5, dtype=torch.float64)
explorer = explore_heads(torch.softmax(scores, -1), list("abcde"))
with_sentence(explorer, lambda text: (torch.eye(len(text.split()))[None], text.split()))"""
PANEL = """from cleanformer_lite.viewers import time_here
panel = time_here()
panel"""
READY = """async () => {
  await jupyterapp.restored;
  const { sessionContext } = jupyterapp.shell.currentWidget;
  await sessionContext.ready;
  await jupyterapp.commands.execute("notebook:run-all-cells");
}"""
ASK = """async (code) => {
  const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
  const asked = kernel.requestExecute({ code });
  let printed = "";
  asked.onIOPub = ({ content }) => (printed += content.text ?? "");
  await asked.done;
  return printed;
}"""


@pytest.fixture
def lab(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve a notebook of one cell, the test's parameter, and return its address."""
    cell = request.param
    notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])  # type: ignore[no-untyped-call]
    # Without a kernel of its own, JupyterLab would ask for one and wait.
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "viewer.ipynb")  # type: ignore[no-untyped-call]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")},
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONPATH": str(ROOT),
    }
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token="]
    options += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={tmp_path}"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/api")
        yield f"http://127.0.0.1:{port}/lab/tree/viewer.ipynb"
    finally:
        server.terminate()
        server.wait(60)


def wait_for(address: str) -> None:
    for _ in range(120):
        try:
            with urlopen(address):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"nothing answers at {address}")


def ask(page: Page, code: str) -> str:
    page.wait_for_timeout(500)  # what was clicked is on its way
    return str(page.evaluate(ASK, code)).strip()


@pytest.mark.parametrize("lab", [CELL], indirect=True, ids=["explorer"])
def test_clicks_and_keys_reach_python_and_python_redraws(lab: str, chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto(lab)
    page.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.sessionContext", timeout=120_000
    )
    page.evaluate(READY)
    viewer = page.locator(".viewer")
    viewer.get_by_role("button", name="head 2", exact=True).click(timeout=60_000)
    viewer.locator("[data-key=word3]").click()
    assert ask(page, "print(explorer.head, explorer.word)") == "2 3"

    viewer.locator("[data-key=head2]").focus()
    for key in ("ArrowLeft", "Enter"):  # JupyterLab has a use for both
        page.keyboard.press(key)
    assert ask(page, "print(explorer.head)") == "1"
    viewer.locator("input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    assert ask(page, "print(explorer.temperature)") == "1.1"

    ask(page, "explorer.temperature = 2.5")
    page.wait_for_timeout(500)
    shares = viewer.locator("td[data-share]:nth-child(2)").evaluate_all(
        "all => all.map(cell => +cell.dataset.share)"
    )
    torch.manual_seed(0)
    scores = torch.randn(3, 5, 5, dtype=torch.float64)
    assert shares == pytest.approx(torch.softmax(scores[1, 3] / 2.5, -1).tolist(), abs=1e-5)

    box = page.locator(".widget-text input")
    box.fill("one two")
    box.press("Enter")
    page.wait_for_timeout(500)
    assert viewer.locator("[data-key^=word]").all_inner_texts() == ["one", "two"]
    page.close()


@pytest.mark.parametrize("lab", [PANEL], indirect=True, ids=["panel"])
def test_times_are_measured_slice_by_slice_and_stop_is_heard(lab: str, chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto(lab)
    page.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.sessionContext", timeout=120_000
    )
    page.evaluate(READY)
    line = page.locator(".viewer .says").first
    page.get_by_role("button", name="Run", exact=True).click(timeout=60_000)
    page.get_by_text("Done, after 25 of 25 rounds.").wait_for(timeout=120_000)
    assert page.locator("[data-follows-theme] tbody tr").first.locator("th").inner_text() == "fused"

    ask(page, "from cleanformer_lite.viewers import timing_panel; timing_panel.SLICE = 0")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text(re.compile(r"^[1-9]\d* of 25 rounds\.$")).wait_for(timeout=60_000)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Stopped, after").wait_for(timeout=60_000)
    rounds = int(ask(page, "print(panel.found.rounds)"))
    assert 1 <= rounds < 25
    assert line.inner_text() == f"Stopped, after {rounds} of 25 rounds."
    page.close()
