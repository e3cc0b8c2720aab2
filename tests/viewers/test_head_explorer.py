from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor

from cleanformer_lite.viewers.head_explorer import HeadExplorer, explore_heads

Open = Callable[..., Page]
H, L, S = 3, 5, 7
TOKENS = ["the", "cat", "<b>", "sat", "</script>"]
KEYS = ["le", "chat", "noir", "<img src=x>", "a", "dit", "non"]
HEAD, WORD, OFF = 2, 3, 1


def scores() -> Tensor:
    torch.manual_seed(0)
    drawn = 3 * torch.randn(H, L, S, dtype=torch.float64)
    drawn[:, :, -1] = -torch.inf  # a masked key
    return drawn


def explorer() -> HeadExplorer:
    return explore_heads(torch.softmax(scores(), dim=-1), TOKENS, key_tokens=KEYS)


def by_mouse(page: Page, temperature: float) -> None:
    page.get_by_label(f"head {HEAD}", exact=True).click()
    page.locator(f"[data-key=word{WORD}]").hover()
    page.locator(f"[data-box='{OFF}']").uncheck()
    page.locator("input[type=range]").fill(str(temperature))


def by_keyboard(page: Page, temperature: float) -> None:
    press = page.keyboard.press
    press("Tab")
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Enter"):  # the last stays the last
        press(key)
    press("Tab")  # its own box
    press("Shift+Tab")
    press("Shift+Tab")
    press("Space")  # the box of the head before
    for _ in range(3):
        press("Tab")
    for _ in range(round(10 * abs(temperature - 1))):
        press("ArrowRight" if temperature > 1 else "ArrowLeft")
    press("Tab")
    for _ in range(WORD):
        press("ArrowRight")


@pytest.mark.parametrize("temperature", [0.2, 2.5])
@pytest.mark.parametrize("act", [by_mouse, by_keyboard])
def test_shares_are_those_of_torch(
    open_page: Open, open_live: Open, act: Any, temperature: float
) -> None:
    expected = torch.softmax(scores() / temperature, dim=-1)
    on = [head for head in range(H) if head != OFF]
    columns = torch.stack([expected[HEAD, WORD], expected[on, WORD].mean(0)], dim=1)
    texts = []
    for opened in (open_page, open_live):
        page = opened(explorer())
        act(page, temperature)
        shown = page.evaluate(
            "[...document.querySelectorAll('[data-share]')].map(c => +c.dataset.share)"
        )
        assert shown == pytest.approx(columns.flatten().tolist(), abs=1e-5)
        texts.append(page.locator(".says").inner_text())
    assert texts[0] == texts[1]
    best = int(expected[HEAD, WORD].argmax())
    share = f"“{KEYS[best]}” {100 * expected[HEAD, WORD, best].item():.1f} %"
    assert texts[0].startswith(f"Head {HEAD}, temperature {temperature}: “sat” reads {share}")
    assert texts[0].endswith("2 of 3 heads are on.")


def test_a_token_is_text(open_page: Open) -> None:
    page = open_page(explorer())
    assert page.locator("img, b").count() == 0
    assert page.locator("[data-key^=word]").all_inner_texts() == TOKENS
    assert page.locator("tbody th:visible").all_inner_texts() == KEYS


def test_a_query_that_may_attend_to_nothing_reads_nothing(open_page: Open) -> None:
    weights = torch.softmax(torch.randn(H, L, S), dim=-1)
    weights[0, 0] = 0.0
    page = open_page(explore_heads(weights, TOKENS, key_tokens=KEYS))
    assert "“the” reads nothing, all is masked" in page.locator(".says").inner_text()


def test_your_own_sentence_takes_the_place_of_the_first() -> None:
    shown = explorer()
    shown.head, shown.word = 2, 4
    shown.show(torch.eye(2)[None], ["a", "b"])
    assert (shown.head, shown.word, shown.tokens, shown.key_tokens) == (
        0,
        0,
        ["a", "b"],
        ["a", "b"],
    )
    assert shown.logs == [[[0.0, None], [None, 0.0]]]


def rows(fill: float) -> Tensor:
    return torch.full((H, L, S), fill)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (rows(0.25), r"rows of shares that sum to 1, got a sum of 1\.7500 in head 0, query 0"),
        (rows(torch.nan), "wanted finite weights"),
        (rows(1 / S)[:, :4], "wanted 4 tokens .*, got 5"),
        (torch.full((33, L, S), 1 / S), "wanted at most 32 heads and 64 tokens"),
        (rows(1 / S)[0], r"wanted weights of shape \(H, L, S\)"),
        (torch.tensor([1.5, -0.5, 0, 0, 0, 0, 0]).expand(H, L, S), "rows of shares"),
    ],
)
def test_bad_weights_say_what_was_wanted(weights: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explore_heads(weights, TOKENS, key_tokens=KEYS)


@pytest.mark.parametrize(("name", "value"), [("head", 3), ("word", -1), ("temperature", 0.0)])
def test_a_trait_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"wanted a {name}"):
        setattr(explorer(), name, value)


def test_the_twin_names_what_is_read_most() -> None:
    weights = torch.softmax(scores(), dim=-1)
    best = int(weights[0, 1].argmax())
    row = f"<td>cat</td><td>{KEYS[best]}</td><td>{weights[0, 1, best].item():.0%}</td>"
    assert row in explorer().static()
