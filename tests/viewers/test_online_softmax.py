import math
import re
from collections.abc import Callable

import pytest
import torch
from playwright.sync_api import Page

from cleanformer_lite.viewers.online_softmax import SCORES, VALUES, read_in_blocks
from tests.viewers.conftest import BOTH

Open = Callable[..., Page]
in_both = pytest.mark.parametrize("browser", BOTH, indirect=True)


def numbers(page: Page) -> list[float]:
    """Read the three gauges: top, total, mean."""
    texts = page.locator(".gauge output").all_inner_texts()
    return [float(text.replace("−", "-")) for text in texts]


def wanted(keys: list[int]) -> list[float]:
    """Compute the three at once over the keys that were read."""
    scores = torch.tensor(SCORES, dtype=torch.float64)[keys]
    values = torch.tensor(VALUES, dtype=torch.float64)[keys]
    top = scores.max()
    mean = torch.softmax(scores, 0) @ values
    return [top.item(), torch.exp(scores - top).sum().item(), mean.item()]


@in_both
@pytest.mark.parametrize("block", [3, 5])
def test_after_each_block_the_three_are_those_of_the_whole_row(
    open_page: Open, open_live: Open, block: int
) -> None:
    for opened in (open_page, open_live):
        page = opened(read_in_blocks(block=block))
        for seen in range(block, len(SCORES) + block, block):
            page.get_by_role("button", name="Next block").click()
            assert numbers(page) == pytest.approx(wanted(list(range(len(SCORES)))[:seen]), abs=6e-3)
        says = page.locator(".says").inner_text()
        assert f"at once gives {wanted(list(range(len(SCORES))))[2]:.4f}" in says
        gap = re.search(r"differ by (.*)\.$", says)
        assert gap
        assert float(gap[1]) < 1e-14
        assert page.get_by_role("button", name="Next block").is_disabled()


@in_both
def test_what_was_kept_shrinks_by_the_factor_that_is_said(open_page: Open) -> None:
    page = open_page(read_in_blocks(block=3))
    heights = []
    for _ in range(2):
        page.get_by_role("button", name="Next block").click()
        heights.append(page.locator(".well").evaluate_all("a => a.map(e => e.offsetHeight)"))
        fills = page.locator(".column .fill").evaluate_all(
            "all => all.slice(0, 3).map((e) => parseFloat(e.style.height))"
        )
        heights[-1] = fills
    factor = math.exp(max(SCORES[:3]) - max(SCORES[:6]))
    assert [b / a for a, b in zip(*heights, strict=True)] == pytest.approx([factor] * 3, abs=1e-3)
    assert page.locator(".brackets .kept").inner_text() == f"× {factor:.2f}"
    assert f"= {factor:.2f}." in page.locator(".says").inner_text()
    page.get_by_role("button", name="Next block").click()
    page.get_by_role("button", name="Next block").click()
    assert "nothing shrinks" in page.locator(".says").inner_text()


@pytest.mark.parametrize("order", ["rising scores", "falling scores"])
def test_the_order_changes_the_way_but_not_the_end(open_page: Open, order: str) -> None:
    page = open_page(read_in_blocks(block=5))
    page.get_by_label(order).check()
    keys = sorted(range(len(SCORES)), key=lambda key: SCORES[key], reverse="falling" in order)
    page.get_by_role("button", name="Next block").click()
    assert numbers(page) == pytest.approx(wanted(keys[:5]), abs=6e-3)
    for _ in range(2):
        page.get_by_role("button", name="Next block").click()
    assert numbers(page) == pytest.approx(wanted(keys), abs=6e-3)


@in_both
def test_a_block_holds_as_many_scores_as_the_slider_says_by_keys(open_page: Open) -> None:
    page = open_page(read_in_blocks(block=3))
    page.keyboard.press("Tab")  # Back is off while nothing is read
    page.keyboard.press("Enter")
    assert page.locator(".says").inner_text().startswith("Block 1 of 4.")
    page.get_by_label("Keys in a block").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".says").inner_text() == "Nothing is read yet. 3 blocks wait."
    full = [page.locator(".meter").nth(i).locator("i.full").count() for i in (0, 1)]
    assert full == [len(SCORES), 5]


@in_both
def test_it_goes_back_and_plays(open_page: Open) -> None:
    page = open_page(read_in_blocks(block=6))
    page.get_by_role("button", name="Next block").click()
    page.get_by_role("button", name="Next block").click()
    page.get_by_role("button", name="Back").click()
    assert numbers(page) == pytest.approx(wanted(list(range(6))), abs=6e-3)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.says').textContent.startsWith('Block 2')")
    assert page.get_by_role("button", name="Play").is_visible()


def test_the_twin_says_the_same_numbers() -> None:
    text = read_in_blocks(block=5).static()
    for seen in (5, 10, 12):
        for number in wanted(list(range(seen))):
            assert f"<td>{number:.2f}</td>" in text


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="12 scores and 2 values"):
        read_in_blocks(values=[1, 2])
    with pytest.raises(ValueError, match="finite"):
        read_in_blocks([1.0, math.inf], [1.0, 2.0], block=1)
    with pytest.raises(ValueError, match="wanted a block of 1 to 12 keys, got 13"):
        read_in_blocks(block=13)
    viewer = read_in_blocks()
    with pytest.raises(ValueError, match="wanted 0 to 4 blocks read, got 5"):
        viewer.read = 5
    with pytest.raises(ValueError, match="wanted one of"):
        viewer.order = "shuffled"
