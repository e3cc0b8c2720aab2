from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor
from torch.nn import functional as F

from cleanformer_lite import SplitMultiHeadAttention
from cleanformer_lite.viewers.what_heads_see import WhatHeadsSee, nudge_input

Open = Callable[..., Page]
H, D, L = 3, 5, 4
TOKENS = ["the", "<img src=x onerror=alert(1)>", "sat", "</script>"]
PLACE, FEATURE, NUDGE = 1, 7, 2.5


def example() -> tuple[SplitMultiHeadAttention, Tensor]:
    torch.manual_seed(0)
    return SplitMultiHeadAttention(H * D, H).double(), torch.randn(1, L, H * D).double()


def viewer() -> WhatHeadsSee:
    return nudge_input(*example(), TOKENS)


def moved_by_torch(split_first: bool) -> list[float]:
    """Without the viewer's trick of a blocked matrix: one small projection a head."""
    attention, x = example()
    nudged = x.clone()
    nudged[0, PLACE, FEATURE] += NUDGE

    def maps(x: Tensor) -> Tensor:
        if not split_first:
            weights: Tensor = attention(x, need_weights=True)[1][0]
            return weights
        per_head = []
        for head in range(H):
            own = slice(head * D, (head + 1) * D)
            q, k = (
                F.linear(x[0, :, own], layer.weight[own, own], layer.bias[own])
                for layer in (attention.q_proj, attention.k_proj)
            )
            per_head.append(torch.softmax(q @ k.T / D**0.5, dim=-1))
        return torch.stack(per_head)

    moved: list[float] = (maps(nudged) - maps(x)).abs().amax(dim=(1, 2)).tolist()
    return moved


def by_mouse(page: Page) -> None:
    page.locator(f"[data-key='{PLACE},{FEATURE}']").click()
    page.locator("input[type=range]").fill(str(NUDGE))


def by_keyboard(page: Page) -> None:
    for key in ("Tab", "ArrowDown", *["ArrowRight"] * FEATURE, "Enter", "Tab"):
        page.keyboard.press(key)
    for _ in range(10):
        page.keyboard.press("ArrowRight")  # ten quarters


@pytest.mark.parametrize("act", [by_mouse, by_keyboard])
def test_heads_move_as_torch_says(open_page: Open, open_live: Open, act: Any) -> None:
    expected = moved_by_torch(split_first=False) + moved_by_torch(split_first=True)
    texts = []
    for opened in (open_page, open_live):
        page = opened(viewer())
        act(page)
        shown = page.evaluate(
            "[...document.querySelectorAll('[data-moved]')].map(f => +f.dataset.moved)"
        )
        assert shown == pytest.approx(expected, abs=1e-5)
        texts.append(page.locator(".says").inner_text())
    assert texts[0] == texts[1]
    assert f"Number {FEATURE} of {TOKENS[PLACE]} moved by 2.50." in texts[0]
    assert (
        "Project, then split: heads 0, 1, 2 moved. Split, then project: head 1 moved." in texts[0]
    )


def test_a_token_is_text(open_page: Open) -> None:
    page = open_page(viewer())
    assert page.locator("img").count() == 0
    assert page.locator(".row-name").all_inner_texts() == TOKENS


def test_the_matrix_says_who_reads_a_column(open_page: Open) -> None:
    page = open_page(viewer())
    labels = page.locator(".matrix svg")
    assert labels.nth(0).get_attribute("aria-label", timeout=1000) == (
        "Query weights. Column 0 is filled in the rows of head 0, 1, 2."
    )
    assert "of head 0." in str(labels.nth(1).get_attribute("aria-label"))
    assert page.locator(".matrix").nth(1).locator(".full").count() == H * D * D


@pytest.mark.parametrize(
    ("x", "tokens", "message"),
    [
        (torch.zeros(L, 7), TOKENS, r"wanted x of shape \(L, 15\), got \(4, 7\)"),
        (torch.zeros(2, L, 15), TOKENS, r"wanted x of shape \(L, 15\), got \(2, 4, 15\)"),
        (torch.zeros(L, 15), TOKENS[:3], "wanted 4 tokens .*, got 3"),
        (torch.full((L, 15), torch.nan), TOKENS, "wanted finite numbers, got NaN"),
        (torch.zeros(9, 15), ["a"] * 9, "wanted at most 8 tokens of 24 numbers"),
    ],
)
def test_bad_input_says_what_was_wanted(x: Tensor, tokens: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nudge_input(example()[0], x, tokens)


def test_an_index_outside_is_refused() -> None:
    shown = viewer()
    with pytest.raises(ValueError, match="wanted a feature from 0 to 14, got 15"):
        shown.feature = 15


def test_the_twin_says_what_each_head_reads() -> None:
    assert "<td>all, 0 to 14</td><td>5 to 9</td>" in viewer().static()
