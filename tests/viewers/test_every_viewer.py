"""What holds for each viewer, whatever it shows."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Page

from cleanformer_lite import SplitMultiHeadAttention, viewers
from cleanformer_lite.viewers.mount import Viewer
from tests.axe import violations

Open = Callable[..., Page]
# A viewer is only a part of a page.
OF_A_WHOLE_PAGE = ("page-has-heading-one", "landmark-one-main", "region")


def explorer() -> Any:
    return viewers.explore_heads(torch.softmax(torch.eye(5).expand(3, 5, 5), -1), list("abcde"))


def explorer_of_two() -> Any:
    weights = torch.softmax(torch.eye(5).expand(3, 5, 5), -1)
    return viewers.explore_heads({"encoder": weights, "decoder": weights}, list("abcde"))


def module_xray() -> Any:
    return viewers.show_xray({"split": SplitMultiHeadAttention(6, 2)}, torch.randn(2, 3, 6))


MAKERS: dict[str, Callable[[], Viewer]] = {
    "attention_stage": lambda: viewers.stage(step="qkv"),
    "attention_stage, one head": lambda: viewers.stage(num_heads=1, step="softmax"),
    "index_tracer": viewers.trace_index,
    "live_translator": viewers.shipped_translators,
    "head_explorer": explorer,
    "head_explorer, two groups": explorer_of_two,
    "module_xray": module_xray,
    "trained_anyway": viewers.guess_the_broken,
    "training_film": viewers.watch_training,
    "training_film, shown": lambda: viewers.watch_training("looped_heads", ask=False),
    "online_softmax": viewers.read_in_blocks,
    "timing_explorer": viewers.explore_timings,
}
MOST_BYTES = {"AttentionStage": 34_500, "IndexTracer": 20_000, "LiveTranslator": 34_000}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))


@each
def test_its_script_is_small(make: Callable[[], Viewer]) -> None:
    viewer = make()
    most = MOST_BYTES.get(type(viewer).__name__, 15_000)
    assert len(str(viewer._esm).encode()) < most


@each
def test_the_same_content_gives_the_same_page(make: Callable[[], Viewer]) -> None:
    assert make().page() == make().page()


@each
def test_a_front_end_may_choose_the_widget_or_the_page(make: Callable[[], Viewer]) -> None:
    viewer = make()
    bundle = viewer._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0]["text/html"] == viewer.page()
    assert bundle[0]["application/vnd.jupyter.widget-view+json"]["model_id"] == viewer.model_id


def test_colab_is_offered_the_widget_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    bundle = viewers.trace_index()._repr_mimebundle_()
    assert bundle is not None
    assert set(bundle[0]) == {"text/plain", "application/vnd.jupyter.widget-view+json"}


@each
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_readable_to_everyone(
    open_page: Open, make: Callable[[], Viewer], theme: str
) -> None:
    # The page's theme comes before the system's, which is the other one here.
    system = "dark" if theme == "light" else "light"
    page = open_page(make(), theme=f'data-theme="{theme}"', color_scheme=system)
    ground = page.locator(".viewer").evaluate("e => getComputedStyle(e).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (theme == "light")
    assert violations(page, leave_out=OF_A_WHOLE_PAGE) == []


@each
def test_it_fits_a_phone_and_can_be_touched(open_page: Open, make: Callable[[], Viewer]) -> None:
    page = open_page(make(), viewport={"width": 390, "height": 800}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    heights = page.locator(".viewer button:visible").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert min(heights) >= 24


@each
def test_without_javascript_the_twin_is_read(open_page: Open, make: Callable[[], Viewer]) -> None:
    page = open_page(make(), java_script_enabled=False)
    assert page.locator(".viewer-static table").first.is_visible()


@each
def test_two_of_the_same_on_a_page_both_move(open_html: Open, make: Callable[[], Viewer]) -> None:
    page = open_html(make().page() * 2)
    assert page.locator("[data-mounted] .says").count() == 2


@each
def test_a_notebook_leaves_it_its_keys(
    open_live: Open, open_page: Open, make: Callable[[], Viewer]
) -> None:
    """Or an arrow would lead from cell to cell, as in JupyterLab 4 and Notebook 7."""
    for page in (open_live(make()), open_page(make())):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.dataset.lmSuppressShortcuts")
        assert focused == "true"


def test_importing_the_viewers_imports_nothing_heavy() -> None:
    code = "import sys, cleanformer_lite.viewers; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"anywidget", "ipywidgets", "bertviz", "matplotlib"} & set(done.stdout.split())
