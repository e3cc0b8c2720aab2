from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor

from cleanformer_lite.viewers.index_tracer import LETTERS, RECIPES, trace_index

Open = Callable[..., Page]
N, L, H, D = 2, 5, 3, 4


def torch_steps(recipe: str) -> list[Tensor]:
    x = torch.arange(N * L * H * D).view(N, L, H * D)
    if recipe == "bare view":
        attended = x.view(N, H, L, D).clone()
        return [x, x.view(N, H, L, D), attended, attended.transpose(1, 2),
                attended.transpose(1, 2).reshape(N, L, H * D)]  # fmt: skip
    split = x.view(N, L, H, D)
    attended = split.transpose(1, 2).contiguous()
    steps = [x, split, split.transpose(1, 2), attended]
    if recipe == "bare merge":
        return [*steps, attended.reshape(N, L, H * D)]
    merged = attended.transpose(1, 2)
    return [*steps, merged, merged.reshape(N, L, H * D)]


def shown_cells(page: Page) -> list[str]:
    return [text.rstrip("!") for text in page.locator(".cell").all_inner_texts()]


def named(cells: Tensor) -> list[str]:
    return [f"{LETTERS[c // (H * D)]}{c % (H * D)}" for c in cells.flatten().tolist()]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_step_is_what_torch_does(open_page: Open, recipe: str) -> None:
    page = open_page(trace_index(N, L, H, D, recipe=recipe))
    expected = torch_steps(recipe)
    for step, tensor in enumerate(expected):
        assert shown_cells(page) == named(tensor)
        facts = page.locator(".facts").inner_text()
        assert f"shape {tuple(tensor.shape)}" in facts
        assert f"strides {tensor.stride()}" in facts
        assert ("not contiguous" in facts) == (not tensor.is_contiguous())
        if step + 1 < len(expected):
            page.get_by_role("button", name="Next").click()
    assert page.get_by_role("button", name="Next").is_disabled()
    astray = int((expected[-1] != expected[0]).sum())
    assert page.locator(".stray").count() == astray
    said = page.locator(".says").inner_text()
    assert (f"{astray} of {N * L * H * D} numbers do not" in said) == (recipe != "right")


def follow_by_mouse(page: Page) -> None:
    page.get_by_text("merge without transposing back").click()
    for _ in range(4):
        page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="b1 at").click()


def follow_by_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # the third recipe
    for _ in range(5):
        page.keyboard.press("Tab")  # past the four sizes, to the steps
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    for _ in range(2):
        page.keyboard.press("Tab")  # Next has nowhere to go, so: Back, then the cells
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "End", "Home", *["ArrowRight"] * 3, "Enter"):
        page.keyboard.press(key)


@pytest.mark.parametrize("act", [follow_by_mouse, follow_by_keyboard])
def test_page_and_live_follow_a_number(open_page: Open, open_live: Open, act: Any) -> None:
    # With one sequence, three places, two heads of two: after the wrong merge, place b's second
    # number stands where place a's fourth should.
    texts = []
    for opened in (open_page, open_live):
        page = opened(trace_index())
        act(page)
        texts.append(page.locator(".says").inner_text())
        # Drawing again keeps the reader's place.
        assert page.evaluate("document.activeElement.dataset.key") == "cell5"
        assert page.locator("[aria-pressed=true]").get_attribute("data-key") == "cell5"
    assert texts[0] == texts[1]
    merged = torch.arange(12).view(1, 3, 2, 2).transpose(1, 2).reshape(1, 3, 4)
    assert f"{int((merged != torch.arange(12).view(1, 3, 4)).sum())} of 12 numbers" in texts[0]
    cell = 5
    row, column = (merged[0] == cell).nonzero()[0].tolist()
    assert f"b1 is at [0, {row}, {column}], memory place 0·12 + {row}·4 + {column}·1" in texts[0]


def test_sizes_can_be_changed(open_page: Open) -> None:
    page = open_page(trace_index())
    page.get_by_label("size L").select_option("5")
    page.get_by_label("size H").select_option("1")
    assert "shape (1, 5, 2)" in page.locator(".facts").inner_text()


@pytest.mark.parametrize("sizes", [(0, 3, 2, 2), (3, 3, 2, 2), (1, 6, 2, 2), (1, 3, 5, 2)])
def test_sizes_that_do_not_fit_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"wanted sizes from 1 \(N to 2, .*, got \["):
        trace_index(*sizes)


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wanted one of the recipes .*, got 'left'"):
        trace_index(recipe="left")


def test_the_twin_says_the_outcome() -> None:
    static = trace_index().static()
    assert '<tr><th scope="row">a</th><td>a0 a1 a2 a3</td></tr>' in static
    assert '<tr><th scope="row">a</th><td>a0 a1 b0 b1</td></tr>' in static  # bare merge
