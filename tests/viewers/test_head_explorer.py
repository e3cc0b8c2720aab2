from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Locator, Page
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
    press("Home")  # it starts at the last
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
    page.locator("[data-key=word0]").click()
    assert "“the” reads nothing, all is masked" in page.locator(".says").inner_text()


def test_your_own_sentence_takes_the_place_of_the_first() -> None:
    shown = explorer()
    shown.head, shown.word = 2, 4
    shown.show(torch.eye(2)[None], ["a", "b"])
    assert (shown.group, shown.head, shown.word, shown.key) == (0, 0, 1, -1)
    assert shown.groups == [
        {
            "name": "",
            "tokens": ["a", "b"],
            "key_tokens": ["a", "b"],
            "logs": [[[0.0, None], [None, 0.0]]],
            "says": [],
        }
    ]


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


def test_bad_groups_are_named() -> None:
    good = rows(1 / S)
    with pytest.raises(ValueError, match=r"^cross: wanted 7 key_tokens .*, got 5"):
        explore_heads({"encoder": (good, TOKENS, KEYS), "cross": (good, TOKENS)})
    with pytest.raises(ValueError, match=r"^cross: wanted tokens for the weights, got none"):
        explore_heads({"cross": good})
    with pytest.raises(ValueError, match=r"wanted 1 to 12 groups of heads, got 0"):
        explore_heads({})
    with pytest.raises(ValueError, match=r"wanted 1 to 12 groups of heads, got 13"):
        explore_heads({str(i): good for i in range(13)}, TOKENS, key_tokens=KEYS)


@pytest.mark.parametrize(
    ("name", "value"), [("group", 1), ("head", 3), ("word", -1), ("key", 7), ("temperature", 0.0)]
)
def test_a_trait_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"wanted a {name}"):
        setattr(explorer(), name, value)


def three_groups() -> HeadExplorer:
    """Groups that differ in everything: heads, tokens, what is masked."""
    return explore_heads(
        {
            "encoder": torch.eye(2).expand(4, 2, 2),
            "<i>cross</i>": (torch.softmax(scores(), dim=-1), TOKENS, KEYS),
            "decoder": (torch.softmax(torch.ones(1, 1, 3), -1), ["x"], ["a", "b", "c"]),
        },
        ["un", "deux"],
    )


def group_by_mouse(page: Page) -> None:
    page.get_by_role("button", name="<i>cross</i>").click()
    page.get_by_label(f"head {HEAD}", exact=True).click()
    page.locator(f"[data-key=word{WORD}]").click()


def group_by_touch(page: Page) -> None:
    page.get_by_role("button", name="<i>cross</i>").tap()
    page.get_by_label(f"head {HEAD}", exact=True).tap()
    page.locator(f"[data-key=word{WORD}]").tap()


def group_by_keyboard(page: Page) -> None:
    for key in ("Tab", "ArrowRight", "Enter", "Tab", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    for key in (
        *["Tab"] * 3,
        "Home",
        *["ArrowRight"] * WORD,
    ):  # its box, the temperature, the tokens
        page.keyboard.press(key)


@pytest.mark.parametrize("act", [group_by_mouse, group_by_touch, group_by_keyboard])
def test_another_group_shows_its_own_shares(open_page: Open, open_live: Open, act: Any) -> None:
    expected = torch.softmax(scores(), dim=-1)[HEAD, WORD]
    texts = []
    for opened in (open_page, open_live):
        page = opened(three_groups(), has_touch=True)
        act(page)
        shown = page.evaluate(
            "[...document.querySelectorAll('td[data-share]:nth-child(2)')]"
            ".map(c => +c.dataset.share)"
        )
        assert shown == pytest.approx(expected.tolist(), abs=1e-5)
        assert page.locator("[data-key^=word]").all_inner_texts() == TOKENS
        texts.append(page.locator(".says").inner_text())
    assert texts[0] == texts[1]
    assert texts[0].startswith(f"<i>cross</i>. Head {HEAD}, temperature 1.0: “sat” reads")
    assert texts[0].endswith("3 of 3 heads are on.")


def test_a_smaller_group_keeps_to_its_heads_and_tokens(open_page: Open) -> None:
    shown = three_groups()
    shown.group, shown.head, shown.word, shown.off = 1, 2, 4, [0]
    page = open_page(shown)
    shown.group = 2
    assert (shown.head, shown.word, shown.off) == (0, 0, [])
    page.get_by_role("button", name="decoder").click()
    assert page.locator(".says").inner_text() == (
        "decoder. Head 0, temperature 1.0: “x” reads “a” 33.3 %, “b” 33.3 %, “c” 33.3 %. "
        "1 of 1 heads are on."
    )


def cell_by_mouse(page: Page, row: int, column: int) -> None:
    box = page.locator(".big-map canvas").bounding_box()
    assert box is not None
    page.mouse.click(
        box["x"] + box["width"] * (column + 0.5) / S, box["y"] + box["height"] * (row + 0.5) / L
    )


def cell_by_touch(page: Page, row: int, column: int) -> None:
    box = page.locator(".big-map canvas").bounding_box()
    assert box is not None
    page.touchscreen.tap(
        box["x"] + box["width"] * (column + 0.5) / S, box["y"] + box["height"] * (row + 0.5) / L
    )


def cell_by_keyboard(page: Page, row: int, column: int) -> None:
    page.locator(".big-map").focus()
    # It starts in the last row; the first key picks column 0.
    for key in (*["ArrowUp"] * (L - 1 - row), *["ArrowRight"] * column):
        page.keyboard.press(key)


@pytest.mark.parametrize("act", [cell_by_mouse, cell_by_touch, cell_by_keyboard])
def test_a_cell_of_the_map_says_its_weight(open_page: Open, open_live: Open, act: Any) -> None:
    weight = torch.softmax(scores(), dim=-1)[0, 1, 4].item()
    for opened in (open_page, open_live):
        page = opened(explorer(), has_touch=True)
        act(page, 1, 4)
        said = page.locator(".says").inner_text()
        assert "“cat” reads" in said
        assert f"“{KEYS[4]}” gets {100 * weight:.1f} %" in said
        assert page.locator("tr[aria-current] th").inner_text() == KEYS[4]


@pytest.mark.parametrize("touch", [False, True])
def test_a_head_that_is_off_changes_what_the_model_says(
    open_page: Open, open_live: Open, touch: bool
) -> None:
    says = ["<i>four</i>", "<i>four</i>", "five", "six"]
    for opened in (open_page, open_live):
        shown = explore_heads(rows(1 / S), TOKENS, key_tokens=KEYS, says=says)
        page = opened(shown, has_touch=True)
        line = page.locator(".model-says")

        def press(box: Locator) -> None:
            box.tap() if touch else box.click()

        assert line.inner_text() == "With all heads the model says: <i>four</i>"
        press(page.locator("[data-box='0']"))
        assert line.inner_text() == "Without head 0 the model says: <i>four</i> (the same)"
        press(page.locator("[data-box='2']"))
        assert line.inner_text().startswith("More than one head is off")
        press(page.locator("[data-box='0']"))
        assert line.inner_text() == "Without head 2 the model says: six"
    assert "<td>without head 1</td>" not in shown.static()
    assert '<th scope="row">without head 1</th><td>five</td>' in shown.static()


def test_what_a_model_says_is_told_for_every_head_or_not_at_all(open_page: Open) -> None:
    with pytest.raises(ValueError, match=r"wanted 4 texts in says, .*, got 2"):
        explore_heads(rows(1 / S), TOKENS, key_tokens=KEYS, says=["a", "b"])
    assert open_page(explorer()).locator(".model-says").is_hidden()


def test_equal_words_are_told_apart(open_page: Open) -> None:
    words = ["the", "cat", "the", "mat"]
    page = open_page(explore_heads(torch.softmax(torch.eye(4), -1)[None], words))
    expected = ["the (0)", "cat", "the (2)", "mat"]
    assert page.locator("[data-key^=word]").all_inner_texts() == expected
    assert page.locator("tbody th:visible").all_inner_texts() == expected


def test_one_group_needs_no_chooser(open_page: Open) -> None:
    page = open_page(explorer())
    assert page.locator("[data-key^=layer]").count() == 0
    assert page.locator(".says").inner_text().startswith("Head 0, ")


def test_each_group_has_a_twin() -> None:
    static = three_groups().static()
    assert static.count("<table>") == 3
    assert "<caption>What each token reads most, &lt;i&gt;cross&lt;/i&gt;</caption>" in static
    assert "<td>deux</td><td>deux</td><td>100%</td>" in static


def test_the_twin_names_what_is_read_most() -> None:
    weights = torch.softmax(scores(), dim=-1)
    best = int(weights[0, 1].argmax())
    row = f"<td>cat</td><td>{KEYS[best]}</td><td>{weights[0, 1, best].item():.0%}</td>"
    assert row in explorer().static()
