"""Controls in a real kernel: what is typed or slid comes back as the picture that torch gives."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from playwright.sync_api import Page
from torch import nn

from cleanformer_lite import HeadsInPlainList, SplitMultiHeadAttention
from cleanformer_lite.viewers import (
    explore_heads,
    show_xray,
    trace_index,
    with_module,
    with_sentence,
    with_sizes,
)
from cleanformer_lite.viewers.controls import WIDGET, Controlled
from tests.viewers.kernel import Kernel

Open = Callable[..., Page]
START = """
import torch
from torch import nn
from cleanformer_lite import HeadsInPlainList, SplitMultiHeadAttention
from cleanformer_lite.viewers import *

def read(text):
    lengths = torch.tensor([float(len(word)) for word in text.split()])
    return torch.softmax(lengths.outer(lengths), -1)[None], text.split()
"""
SENTENCE = "with_sentence(explore_heads(*read('a bc')), read)"
SIZES = "shown = with_sizes(trace_index())\nshown"
MODULE = "x = torch.ones(1, 3)\nwith_module(show_xray({'one': nn.Linear(3, 2)}, x), x, globals())"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    running = Kernel()
    running.run(START)
    yield running
    running.stop()


class Front:
    """One cell's output in a front end that carries messages between its widgets and the kernel."""

    def __init__(self, kernel: Kernel, open_live: Open, code: str) -> None:
        self.kernel = kernel
        kernel.widgets.clear()
        kernel.run(code)
        box = kernel.widgets[kernel.shown[-1][WIDGET]["model_id"]]
        assert box["_model_name"] == "VBoxModel"
        *_, self.message, self.viewer = [
            child.removeprefix("IPY_MODEL_") for child in box["children"]
        ]
        state = kernel.widgets[self.viewer]
        shown = tuple(name for name in state if name != "layout" and not name.startswith("_"))
        fields = {name: state[name] for name in (*shown, "_esm", "_css")}
        self.page = open_live(SimpleNamespace(shown=shown, **fields))

    def control(self, description: str) -> str:
        [found] = [
            comm
            for comm, state in self.kernel.widgets.items()
            if state.get("description") == description
        ]
        return found

    def set(self, description: str, value: Any) -> None:
        """Do what a front end does when the reader typed or slid; then bring the answer back."""
        self.kernel.updates.clear()
        self.kernel.tell(self.control(description), {"value": value})
        self.bring()

    def click(self, description: str) -> None:
        self.kernel.updates.clear()
        self.kernel.tell(self.control(description), {"event": "click"}, method="custom")
        self.bring()

    def bring(self) -> None:
        for comm, state in self.kernel.updates:
            if comm == self.viewer:
                self.page.evaluate("state => model.update(state)", state)

    def said(self) -> str:
        return str(self.kernel.widgets[self.message]["value"])


@pytest.fixture
def front(kernel: Kernel, open_live: Open) -> Callable[[str], Front]:
    return lambda code: Front(kernel, open_live, code)


def test_a_typed_sentence_is_shown(front: Callable[[str], Front]) -> None:
    seen = front(SENTENCE)
    seen.set("Your sentence:", "one three eleven")
    assert seen.page.locator("[data-key^=word]").all_inner_texts() == ["one", "three", "eleven"]
    seen.page.locator("[data-key=word1]").click()
    shares = seen.page.evaluate(
        "[...document.querySelectorAll('tbody td:nth-child(2)')].map(c => +c.dataset.share)"
    )
    # "three" has 5 letters, the words 3, 5 and 6.
    expected = torch.softmax(torch.tensor([15.0, 25.0, 30.0], dtype=torch.float64), -1)
    assert shares == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_sentence_that_cannot_be_read_is_told_beside_the_box(
    front: Callable[[str], Front],
) -> None:
    seen = front("def read_short(text):\n    raise KeyError('<b>')\n"
                 "with_sentence(explore_heads(*read('a bc')), read_short)")  # fmt: skip
    seen.set("Your sentence:", "x")
    assert seen.said() == '<p role="alert">KeyError: &#x27;&lt;b&gt;&#x27;</p>'
    assert seen.page.locator("[data-key^=word]").all_inner_texts() == ["a", "bc"]


def test_sliders_resize_the_tensor(front: Callable[[str], Front]) -> None:
    seen = front(SIZES)
    for axis, size in {"L": 5, "E": 3, "H": 3, "N": 2}.items():
        seen.set(axis, size)
    x = torch.zeros(2, 5, 3)
    layout = seen.page.locator(".tensor-layout")
    assert f"shape {tuple(x.shape)}   strides {x.stride()}" in layout.inner_text()
    seen.page.get_by_role("button", name=".view(N, L, H, D)").click()
    split = x.view(2, 5, 3, 1)
    assert f"shape {tuple(split.shape)}   strides {split.stride()}" in layout.inner_text()
    assert seen.said() == ""


def test_what_cannot_be_split_is_told_and_nothing_breaks(front: Callable[[str], Front]) -> None:
    seen = front(SIZES)
    seen.set("E", 7)
    assert "wanted E that H divides, got E = 7 and H = 2" in seen.said()
    assert "shape (1, 3, 4)" in seen.page.locator(".tensor-layout").inner_text()
    seen.set("E", 16)  # eight numbers a head are too many
    assert "wanted sizes from 1 (N to 2, L to 5, H to 4, D to 4), got [1, 3, 2, 8]" in seen.said()
    seen.set("H", 4)
    assert seen.said() == ""
    assert "shape (1, 3, 16)" in seen.page.locator(".tensor-layout").inner_text()


def test_sizes_picked_in_the_viewer_move_the_sliders(front: Callable[[str], Front]) -> None:
    seen = front(SIZES)
    seen.kernel.run("been = []\nshown.viewer.observe(lambda new: been.append(new['new']), 'sizes')")
    seen.kernel.tell(seen.viewer, {"sizes": [1, 4, 3, 2]})
    values = [seen.kernel.widgets[seen.control(axis)]["value"] for axis in "NLEH"]
    assert values == [1, 4, 6, 3]
    # Not by way of sizes that nobody picked, one slider after another.
    assert seen.kernel.run("print(been)") == "[[1, 4, 3, 2]]\n"


def test_a_typed_module_is_asked(front: Callable[[str], Front], kernel: Kernel) -> None:
    kernel.run(
        "class Mine(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.hidden, self.known = [nn.Linear(3, 5)], nn.Linear(5, 2)\n"
        "    def forward(self, x):\n"
        "        return self.known(self.hidden[0](x))\n"
    )
    seen = front(MODULE)
    seen.set("Your module:", "Mine()")
    seen.page.get_by_role("button", name="parameters()").click()
    # Counted by hand: 3 * 5 + 5 hidden numbers, 5 * 2 + 2 known ones.
    assert seen.page.locator(".says").inner_text().startswith(
        "Mine(), parameters(): 1 of 2 layers found, 12 of 32 numbers."
    )  # fmt: skip
    assert seen.page.locator("tr.dark .name").all_inner_texts() == ["hidden.0"]
    seen.set("Your module:", "Nobody()")
    assert "NameError: name &#x27;Nobody&#x27; is not defined" in seen.said()
    seen.set("Your module:", "Mine")
    assert "got the class Mine: call it" in seen.said()
    assert seen.page.get_by_role("button", name="Mine()").count() == 1


def test_a_module_that_was_changed_can_be_asked_again(
    front: Callable[[str], Front], kernel: Kernel
) -> None:
    kernel.run("mine = nn.Linear(3, 2)")
    seen = front(MODULE)
    assert "mine" in kernel.widgets[seen.control("Your module:")]["options"]
    seen.set("Your module:", "mine")
    kernel.run("mine = nn.Linear(3, 7)")
    seen.click("Ask its layers")
    seen.page.get_by_role("button", name="parameters()").click()
    assert "mine, parameters(): 1 of 1 layers found, 28 of 28 numbers." in (
        seen.page.locator(".says").inner_text()
    )
    assert seen.page.locator("[data-key^=scan]").count() == 2


def controlled() -> list[Controlled]:
    return [
        with_sentence(explore_heads(torch.eye(2)[None], ["a", "b"]), lambda text: text),
        with_sizes(trace_index()),
        with_module(show_xray({"one": nn.Linear(3, 2)}, torch.ones(1, 3)), torch.ones(1, 3), {}),
    ]


@pytest.mark.parametrize("at", range(3))
def test_a_page_without_a_kernel_shows_the_viewer_alone(at: int) -> None:
    shown = controlled()[at]
    bundle = shown._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0]["text/html"] == shown.viewer.page()
    assert bundle[0][WIDGET]["model_id"] == shown.box.model_id
    assert shown.box.children[-1] is shown.viewer


def test_modules_to_choose_from_are_those_of_the_notebook() -> None:
    namespace = {
        "good": SplitMultiHeadAttention(6, 2),
        "_": HeadsInPlainList(6, 2),
        "nn": nn,
        "Linear": nn.Linear,
    }
    x = torch.ones(1, 3, 6)
    shown = with_module(show_xray({"split": namespace["good"]}, x), x, namespace)  # type: ignore[dict-item]
    assert shown.controls[0].children[0].options == ("good",)
