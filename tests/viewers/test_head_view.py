"""What head_view writes: the same each time, numbers that are right, words that stay words."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor

from cleanformer_lite.viewers import head_view

# bertviz leaves the file of its script open.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
HEADS, QUERIES, KEYS = 2, 3, 5
QUERY_WORDS = ["a", "b", "c"]
KEY_WORDS = ["v", "w", "x", "y", "z"]


@pytest.fixture
def weights() -> Tensor:
    scores = torch.arange(HEADS * QUERIES * KEYS, dtype=torch.float32) % 7
    return scores.view(HEADS, QUERIES, KEYS).softmax(-1)


def written(weights: Tensor, words: list[str], **more: object) -> str:
    text: str = head_view(weights, words, **more).data  # type: ignore[arg-type]
    return text


def data_of(text: str) -> dict[str, object]:
    found = re.search(r"const params = (.*);\n", text)
    assert found is not None
    [data] = json.loads(found[1])["attention"]
    assert isinstance(data, dict)
    return data


def test_it_carries_the_weights_head_by_head(weights: Tensor) -> None:
    data = data_of(written(weights, QUERY_WORDS, key_tokens=KEY_WORDS))
    assert (data["left_text"], data["right_text"]) == (QUERY_WORDS, KEY_WORDS)
    carried = torch.tensor(data["attn"], dtype=torch.float64)[0]
    for head in range(HEADS):
        for query in range(QUERIES):
            for key in range(KEYS):
                wanted = weights[head, query, key].item()
                assert abs(carried[head, query, key].item() - wanted) <= 5.1e-5


def test_numbers_have_four_decimals(weights: Tensor) -> None:
    text = json.dumps(data_of(written(weights, QUERY_WORDS, key_tokens=KEY_WORDS))["attn"])
    assert max(map(len, re.findall(r"\d\.(\d+)", text))) <= 4


def test_one_sequence_of_a_batch_is_the_same(weights: Tensor) -> None:
    square = weights[..., :QUERIES]
    with_gradient = square.clone().requires_grad_()
    assert written(square[None], QUERY_WORDS) == written(with_gradient, QUERY_WORDS)


def test_it_is_the_same_each_time_and_differs_for_others(weights: Tensor) -> None:
    square = weights[..., :QUERIES]
    first = written(square, QUERY_WORDS)
    assert written(square, QUERY_WORDS) == first
    others = [written(square.flip(0), QUERY_WORDS), written(square, ["a", "b", "d"])]
    names = [re.findall(r'<div data-head-view="(\w+)"', text) for text in (first, *others)]
    assert len({name for [name] in names}) == 3


def test_it_needs_nothing_from_elsewhere(weights: Tensor) -> None:
    text = written(weights[..., :QUERIES], QUERY_WORDS)
    loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)", text)
    assert loaded == []


def test_words_stay_words(weights: Tensor) -> None:
    evil = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"&'"]
    text = written(weights[..., :QUERIES], evil, title="<b>bold</b>")
    assert "<img" not in text
    assert "<b>" not in text
    assert text.count("<script") == text.count("</script") == 1
    assert data_of(text)["left_text"] == evil


@pytest.mark.parametrize(
    ("shape", "words", "keys", "said"),
    [
        ((3, 3), 3, None, r"\(3, 3\)"),
        ((2, 2, 3, 3), 3, None, r"\(2, 2, 3, 3\)"),
        ((2, 3, 5), 3, None, "wanted 5 key_tokens .* got 3"),
        ((2, 3, 5), 5, 5, "wanted 3 tokens .* got 5"),
        ((0, 3, 3), 3, None, r"\(0, 3, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], words: int, keys: int | None, said: str
) -> None:
    key_tokens = None if keys is None else ["k"] * keys
    with pytest.raises(ValueError, match=said):
        head_view(torch.zeros(shape), ["q"] * words, key_tokens=key_tokens)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        head_view(torch.full((1, 2, 2), torch.nan), ["a", "b"])


def test_a_notebook_leaves_it_its_keys(weights: Tensor, open_html: Callable[..., Page]) -> None:
    page = open_html(written(weights[..., :QUERIES], QUERY_WORDS))
    reached = page.locator("svg [tabindex='0']")
    assert reached.count() == HEADS + 1  # its squares, its words
    assert page.locator("svg [data-lm-suppress-shortcuts=true]").count() == reached.count()


@pytest.mark.parametrize("width", [900, 390])
def test_it_reaches_across_the_page_and_fits_a_phone(
    weights: Tensor, open_html: Callable[..., Page], width: int
) -> None:
    words = ["a", "longest word here", "c"]
    page = open_html(
        written(weights[..., :QUERIES], words), viewport={"width": width, "height": 700}
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawn = page.locator("svg").bounding_box()
    assert drawn is not None
    assert drawn["width"] == pytest.approx(min(760, width - 16), abs=1)
    sides = page.locator(".right, .left").evaluate_all(
        "all => all.map(e => e.querySelector('g:last-child').getBoundingClientRect())"
        ".map(box => [box.left, box.right])"
    )
    assert all(drawn["x"] - 1 <= a and b <= drawn["x"] + drawn["width"] + 1 for a, b in sides)


def test_what_is_read_is_marked_below_its_word_not_over_it(
    weights: Tensor, open_html: Callable[..., Page]
) -> None:
    page = open_html(written(weights[..., :QUERIES], QUERY_WORDS))
    page.locator(".left").focus()
    page.keyboard.press("ArrowDown")
    boxes = "all => all.map(e => e.getBoundingClientRect()).map(box => [box.top, box.bottom])"
    words = page.locator(".right text").evaluate_all(boxes)
    marks = page.locator(".right .attentionBoxes rect").evaluate_all(boxes)
    assert len(marks) == HEADS * QUERIES
    # A letter's box has room below its foot: let a mark reach two pixels into that.
    assert not any(a < d - 2 and c < b for a, b in marks for c, d in words)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_heads_are_told_apart(weights: Tensor, open_html: Callable[..., Page], theme: str) -> None:
    eight = weights[:1, :, :QUERIES].expand(8, -1, -1)
    page = open_html(written(eight, QUERY_WORDS), theme=f'data-theme="{theme}"')
    ways = page.locator(".headAttention").evaluate_all(
        "all => all.map(e => e.querySelector('line').getBoundingClientRect().top)"
    )
    assert len({round(way, 1) for way in ways}) == 8  # none lies over another
    inks = page.locator(".headAttention line:first-child").evaluate_all(
        "all => [...new Set(all.map(e => getComputedStyle(e).stroke))]"
    )
    assert len(inks) == 8
    ground = (255, 255, 255) if theme == "light" else (20, 24, 30)
    for ink in inks:
        rgb = [int(n) for n in re.findall(r"\d+", ink)[:3]]
        assert contrast(rgb, ground) >= 3


def contrast(one: Sequence[int], other: Sequence[int]) -> float:
    """WCAG's contrast of two colours, given as red, green and blue from 0 to 255."""

    def luminance(rgb: Sequence[int]) -> float:
        parts = [n / 255 for n in rgb]
        linear = [n / 12.92 if n <= 0.04045 else ((n + 0.055) / 1.055) ** 2.4 for n in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_importing_viewers_is_light() -> None:
    code = (
        "import sys, cleanformer_lite.viewers\n"
        "print(sorted({'matplotlib', 'bertviz', 'transformers', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def luminance(colour: str) -> float:
    """The relative luminance of `rgb(r, g, b)`, as WCAG defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_each_heads_number_stands_out_from_its_square(open_html: Callable[..., Page]) -> None:
    eight = torch.ones(8, 3, 3).softmax(-1)
    page = open_html(written(eight, QUERY_WORDS))
    fills = "all => all.map(e => getComputedStyle(e).fill)"
    grounds = page.get_by_role("checkbox").evaluate_all(fills)
    inks = page.locator("svg > text[aria-hidden]").evaluate_all(fills)
    assert len(grounds) == len(inks) == len(set(grounds)) == 8
    for ground, ink in zip(grounds, inks, strict=True):
        light, dark = sorted((luminance(ground), luminance(ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ground, ink)
