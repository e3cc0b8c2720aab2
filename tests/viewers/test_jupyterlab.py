"""A viewer in JupyterLab itself, with its own widget manager, kernel and keyboard shortcuts."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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


TRANSLATORS = """import torch
from cleanformer_lite import SlicedMultiHeadAttention
from cleanformer_lite.translation.checkpoints import load_model
from cleanformer_lite.translation.decoding import translate
from cleanformer_lite.translation.korean_dates import in_korean
from cleanformer_lite.translation.training import new_model
from cleanformer_lite.viewers import live_translator
torch.manual_seed(0)
mine = new_model(
    embed_dim=12, num_heads=3, layers=1, hidden=7, attention=SlicedMultiHeadAttention).eval()
models = {"shipped": load_model()[0], "mine": mine}
shown = live_translator(models, arithmetic="%s")
shown"""
CELLS = {
    "explorer": CELL,
    "panel": PANEL,
    "page": TRANSLATORS % "page",
    "python": TRANSLATORS % "python",
}
Open = Callable[[str], Page]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a notebook of one cell for each of CELLS, and return where they are."""
    folder = tmp_path_factory.mktemp("lab")
    for name, cell in CELLS.items():
        notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])  # type: ignore[no-untyped-call]
        # Without a kernel of its own, JupyterLab would ask for one and wait.
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, folder / f"{name}.ipynb")  # type: ignore[no-untyped-call]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")},
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONPATH": str(ROOT),
    }
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token="]
    options += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder}"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/api")
        yield f"http://127.0.0.1:{port}/lab/workspaces"
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def open_notebook(lab: str, chromium: Browser) -> Iterator[Open]:
    """Open a notebook of CELLS, and run its cell."""
    pages: list[Page] = []

    def opened(name: str) -> Page:
        page = chromium.new_page()
        pages.append(page)
        page.goto(f"{lab}/{name}/tree/{name}.ipynb")
        page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext", timeout=120_000
        )
        page.evaluate(READY)
        return page

    yield opened
    for page in pages:
        page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        page.close()


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


def test_clicks_and_keys_reach_python_and_python_redraws(open_notebook: Open) -> None:
    page = open_notebook("explorer")
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


def test_times_are_measured_slice_by_slice_and_stop_is_heard(open_notebook: Open) -> None:
    page = open_notebook("panel")
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


@pytest.mark.parametrize("arithmetic", ["page", "python"])
def test_a_readers_own_translator_writes_what_python_writes(
    open_notebook: Open, arithmetic: str
) -> None:
    page = open_notebook(arithmetic)
    line = page.locator(".viewer .says")
    line.get_by_text("It writes “Monday, November 23, 2026”: right.").wait_for(timeout=60_000)
    page.locator("[data-key='decoder 0/1']").click()
    line.get_by_text("without decoder 0 head 1: wrong").wait_for()
    assert ask(page, "print(shown.off)") == "['decoder 0/1']"

    page.get_by_label("mine").check()
    line.get_by_text("with all").or_(line.get_by_text("It writes")).first.wait_for()
    page.wait_for_function("document.querySelectorAll('.lt-tile').length === 9")
    assert ask(page, "print(shown.kind, shown.off)") == "mine []"
    page.locator("[data-key='cross 0/2']").focus()
    page.keyboard.press("Enter")  # JupyterLab has a use for it
    line.get_by_text("without cross 0 head 2").wait_for()
    model = {"page": "rounded(mine)", "python": "mine"}[arithmetic]
    expected = ask(
        page,
        "from cleanformer_lite.translation.six_bits import rounded\n"
        "from cleanformer_lite.translation.looking_inside import *\n"
        f"model = {model}\n"
        "with without_head(attention_modules(model)['cross 0'], 2):\n"
        "    print(translate(model, [in_korean(__import__('datetime').date(2026, 11, 23))])[0])",
    )
    assert line.inner_text().startswith(f"It writes “{expected.rstrip(', ')}")
