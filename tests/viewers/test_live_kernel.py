"""A viewer in a real kernel: Python changes the picture, and a click comes back to Python.

The front end's own widget manager is not here: the test carries the messages between the two.
"""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from playwright.sync_api import Page

from tests.viewers.kernel import Kernel

Open = Callable[..., Page]
START = """
import torch
from cleanformer_lite.viewers import explore_heads
torch.manual_seed(0)
scores = torch.randn(3, 5, 5, dtype=torch.float64)
explorer = explore_heads(torch.softmax(scores, -1), list("abcde"))
"""


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    running = Kernel()
    yield running
    running.stop()


def shown_shares(page: Page) -> list[float]:
    shares: list[float] = page.evaluate(
        "[...document.querySelectorAll('tr')].slice(1).map(r => +r.children[1].dataset.share)"
    )
    return shares


def test_python_redraws_and_a_click_comes_back(kernel: Kernel, open_live: Open) -> None:
    kernel.run(START)
    comm, state = next((c, s) for c, s in kernel.widgets.items() if "_esm" in s)
    shown = tuple(name for name in state if not name.startswith("_") and name not in ("layout",))
    widget = SimpleNamespace(_esm=state["_esm"], _css=state["_css"], shown=shown, **{
        name: state[name] for name in shown
    })  # fmt: skip
    page = open_live(widget)
    told: list[dict[str, Any]] = []
    page.expose_function("saved", lambda new: told.append(new))

    page.get_by_label("head 2", exact=True).click()
    page.locator("[data-key=word3]").click()
    page.wait_for_timeout(100)
    kernel.tell(comm, {name: told[-1][name] for name in ("head", "word")})
    assert kernel.run("print(explorer.head, explorer.word)") == "2 3\n"

    kernel.updates.clear()
    kernel.run("explorer.temperature = 2.5")
    for _, update in kernel.updates:
        page.evaluate("update => model.update(update)", update)
    torch.manual_seed(0)
    scores = torch.randn(3, 5, 5, dtype=torch.float64)
    expected = torch.softmax(scores[2, 3] / 2.5, dim=-1).tolist()
    assert shown_shares(page) == pytest.approx(expected, abs=1e-5)
