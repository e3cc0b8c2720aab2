import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite import (
    LoopedMultiHeadAttention,
    SingleHeadAttention,
    SlicedMultiHeadAttention,
    SplitMultiHeadAttention,
    copy_weights,
)
from cleanformer_lite.viewers.attention_stage import STEPS, AttentionStage, stage

Open = Callable[..., Page]
L, H, D = 3, 2, 5
E = H * D
WORDS = ["the", "<img src=x onerror=alert(1)>", "</script>"]


def module_and_x() -> tuple[SplitMultiHeadAttention, Tensor]:
    torch.manual_seed(0)
    return SplitMultiHeadAttention(E, H).double(), torch.randn(1, L, E).double()


def own_stage(**options: Any) -> AttentionStage:
    return stage(*module_and_x(), WORDS, **options)


def tell(page: Page, **traits: Any) -> None:
    """Do to the model what a press of the reader's would do, without looking for the button."""
    page.evaluate(
        "traits => { const model = document.querySelector('.viewer').viewerModel;"
        "for (const [name, value] of Object.entries(traits)) model.set(name, value); }",
        traits,
    )


def numbers(page: Page, name: str) -> dict[tuple[int, ...], float]:
    """The visible numbers of one tensor, by their indices."""
    found: dict[str, str] = page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('.block:not(.gone) .spot')]"
        ".map(node => [node.dataset.key, node.dataset.value]))"
    )
    return {
        tuple(map(int, key.split(".")[1:])): -math.inf if value == "-Infinity" else float(value)
        for key, value in found.items()
        if key.split(".")[0] == name and value != "null"
    }


def as_dict(tensor: Tensor) -> dict[tuple[int, ...], float]:
    return {tuple(i): tensor[tuple(i)].item() for i in (tensor == tensor).nonzero().tolist()}


def same(shown: dict[tuple[int, ...], float], expected: Tensor) -> None:
    assert shown == pytest.approx(as_dict(expected.detach()), abs=1e-4)


def by_heads(mode: str, attention: SplitMultiHeadAttention) -> nn.Module:
    """The module that the mode is a picture of, with the weights that it shows."""
    if mode == "split":
        return attention
    if mode == "loop":
        loop = LoopedMultiHeadAttention(E, H).double()
        copy_weights(attention, loop)
        return loop
    sliced = SlicedMultiHeadAttention(E, H).double()
    with torch.no_grad():
        for h, head in enumerate(sliced.heads):
            own = slice(h * D, (h + 1) * D)
            for name in ("q_proj", "k_proj", "v_proj"):
                whole, piece = getattr(attention, name), getattr(head, name)
                piece.weight.copy_(whole.weight[own, own])
                piece.bias.copy_(whole.bias[own])
    sliced.out_proj.load_state_dict(attention.out_proj.state_dict())
    return sliced


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mode", ["loop", "split", "sliced"])
def test_every_number_is_what_torch_computes(open_page: Open, mode: str, causal: bool) -> None:
    attention, x = module_and_x()
    page = open_page(own_stage(mode=mode, causal=causal))
    module = by_heads(mode, attention)
    output, weights = module(x, is_causal=causal, need_weights=True)
    tell(page, step="softmax")
    same(numbers(page, "s"), weights[0])
    tell(page, step="W_O")
    same(numbers(page, "y"), output[0])
    same(numbers(page, "wo"), attention.out_proj.weight.T)
    if mode == "sliced":
        return
    projected = {name: F.linear(x, layer.weight, layer.bias)[0] for name, layer in (
        ("q", attention.q_proj), ("k", attention.k_proj), ("v", attention.v_proj))}  # fmt: skip
    for step in ("qkv", "split"):
        tell(page, step=step)
        for name, expected in projected.items():
            same(numbers(page, name), expected)
    q, k, v = (projected[name].view(L, H, D).transpose(0, 1) for name in "qkv")
    tell(page, step="scores")
    same(numbers(page, "s"), q @ k.transpose(1, 2))
    tell(page, step="mask")
    masked = (q @ k.transpose(1, 2) / D**0.5).masked_fill(
        torch.ones(L, L).triu(1).bool() & torch.tensor(causal), -math.inf
    )
    same(numbers(page, "s"), masked)
    tell(page, step="merge")
    merged = (weights[0] @ v).transpose(0, 1).reshape(L, E)
    same(numbers(page, "o"), merged)
    tell(page, step="output")
    parts = torch.stack(
        [merged[:, h * D : (h + 1) * D] @ attention.out_proj.weight.T[h * D : (h + 1) * D]
         for h in range(H)]
    )  # fmt: skip
    same(numbers(page, "p"), parts)
    same(numbers(page, "y"), parts.sum(0) + attention.out_proj.bias)


@pytest.mark.parametrize("width", [390, 1000])  # on a phone k is first seen when it is turned
def test_one_head_alone_is_the_single_head(open_page: Open, width: int) -> None:
    torch.manual_seed(1)
    head, x = SingleHeadAttention(7, head_dim=D), torch.randn(L, 7)
    page = open_page(stage(head, x, WORDS), viewport={"width": width, "height": 900})
    output, weights = head(x[None], need_weights=True)
    tell(page, step="scores")
    same(numbers(page, "k"), head.k_proj(x))
    tell(page, step="values")
    same(numbers(page, "s"), weights[0])
    same(numbers(page, "o"), output[0])
    shown = page.locator(".rail button").all_inner_texts()
    assert shown == ["words", "x", "W", "q k v", "scores", "÷ √D, mask", "softmax", "× v"]
    assert page.get_by_label("loop").count() == 0


def test_every_module_opens_as_what_it_is() -> None:
    attention, x = module_and_x()
    assert stage(attention, x, WORDS).mode == "split"
    assert stage(by_heads("loop", attention), x, WORDS).mode == "loop"
    assert stage(by_heads("sliced", attention), x, WORDS).mode == "sliced"
    theirs = nn.MultiheadAttention(E, H, batch_first=True)
    assert stage(theirs, x, WORDS).weights["k"][1] == pytest.approx(
        theirs.in_proj_weight[E + 1].tolist(), abs=1e-6
    )


def by_mouse(page: Page) -> None:
    page.get_by_role("button", name="÷ √D, mask").click()
    page.locator("[data-key='s.1.2.0']").hover()


def by_touch(page: Page) -> None:
    page.get_by_role("button", name="÷ √D, mask").tap()
    page.locator("[data-key='s.1.2.0']").tap()


def by_keyboard(page: Page) -> None:
    for _ in range(3):
        page.keyboard.press("Tab")  # Back has nowhere to go: Play, Next, the rail
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")  # the example: head 0, query 2, key 1
    for _ in range(1 + D + 1):  # key 2, the row of q in head 1, its key 0
        page.keyboard.press("ArrowRight")


@pytest.mark.parametrize("act", [by_mouse, by_touch, by_keyboard])
def test_a_number_says_what_it_is_made_of(open_page: Open, open_live: Open, act: Any) -> None:
    attention, x = module_and_x()
    q = F.linear(x[0, 2], attention.q_proj.weight, attention.q_proj.bias)[D:]
    k = F.linear(x[0, 0], attention.k_proj.weight, attention.k_proj.bias)[D:]
    for opened in (open_page, open_live):
        page = opened(
            own_stage(), has_touch=act is by_touch, viewport={"width": 1000, "height": 900}
        )
        act(page)
        said = page.locator(".says").inner_text()
        assert said.startswith("Head 1: score of “</script>” for “the”: ")
        value, terms = re.fullmatch(r".*: (\S+) = \((.+)\) / 2\.24\.", said).groups()  # type: ignore[union-attr]
        ascii_ = terms.replace("−", "-").replace("·", "*")
        assert eval(ascii_) / 5**0.5 == pytest.approx((q @ k / D**0.5).item(), abs=0.05)
        assert float(value.replace("−", "-")) == pytest.approx((q @ k / D**0.5).item(), abs=0.006)
        lit = page.locator(".lit").evaluate_all("all => all.map(e => e.dataset.key).sort()")
        assert lit == sorted(
            [f"{n}.{i}.{D + d}" for n, i in (("q", 2), ("k", 0)) for d in range(D)]
        )


def test_a_sum_is_written_as_people_write_it(open_page: Open) -> None:
    page = open_page(stage(step="mask"), viewport={"width": 1000, "height": 900})
    page.locator("[data-key='s.0.2.1']").hover()
    q, k = (
        F.linear(torch.tensor(stage().x[i]), torch.tensor(stage().weights[n][:3]))
        for n, i in (("q", 2), ("k", 1))
    )
    pairs = list(zip(q.tolist(), k.tolist(), strict=True))
    terms = [f"{abs(a):.2f} · {abs(b):.2f}".replace("0 ", " ").rstrip("0") for a, b in pairs]
    signs = ["−" if a * b < 0 else "" for a, b in pairs]
    assert signs == ["−", "", ""]
    assert page.locator(".says").inner_text() == (
        f"Head 0: score of “sat” for “cat”: {(q @ k).item() / 3**0.5:.2f}"
        f" = (−{terms[0]} + {terms[1]} + {terms[2]}) / 1.73."
    )


def test_from_loop_to_split_only_brackets_move(open_page: Open) -> None:
    page = open_page(own_stage(mode="loop", step="qkv"), viewport={"width": 1000, "height": 900})
    spots, brackets = (page.locator(f".block:not(.gone) {one}") for one in (".spot", ".bracket"))
    boxes = "all => all.map(e => e.style.cssText)"
    before = spots.all_inner_texts()
    apart = brackets.evaluate_all(boxes)
    page.get_by_label("split", exact=True).check()
    assert page.locator(".says").inner_text().startswith("0 of ")
    assert spots.all_inner_texts() == before
    assert brackets.evaluate_all(boxes) != apart
    page.get_by_label("sliced", exact=True).check()
    found = re.match(r"(\d+) of (\d+) numbers changed\.", page.locator(".says").inner_text())
    assert found is not None
    # All of W, of q, k, v, of scores, divided scores and shares, of the heads and what follows.
    follows = 3 * E * E + 3 * L * E + 3 * H * L * L + L * E + H * L * E + L * E
    assert int(found[2]) == follows + L * E + E * E + 4 * E  # with x, W_O and all biases
    assert int(found[1]) == follows - 3 * H * D * D  # the blocks alone stay
    assert page.locator(".block.empty:not(.gone) .spot").count() == 3 * (E * E - H * D * D)


def test_a_silenced_head_leaves_the_sum(open_page: Open, open_live: Open) -> None:
    attention, x = module_and_x()
    _, weights = attention(x, need_weights=True)
    v = F.linear(x, attention.v_proj.weight, attention.v_proj.bias)[0]
    kept = weights[0, 0] @ v[:, :D]
    expected = F.linear(kept, attention.out_proj.weight[:, :D], attention.out_proj.bias)
    for opened in (open_page, open_live):
        page = opened(own_stage(step="output"), viewport={"width": 1000, "height": 900})
        page.get_by_label("head 1 speaks").uncheck()
        same(numbers(page, "y"), expected)
        assert "part of head 1: silenced" in page.locator(".board").inner_text()
    _, output = own_stage_off()._attend()
    assert torch.allclose(torch.tensor(output).double(), expected, atol=1e-5)


def own_stage_off() -> AttentionStage:
    shown = own_stage()
    shown.off = [1]
    return shown


def edit_by_mouse(page: Page) -> None:
    page.locator("[data-key='x.1.3']").click()
    page.locator(".edit input").fill("2.5")
    page.locator(".edit input").press("Enter")


def edit_by_keyboard(page: Page) -> None:
    page.locator("[data-key='x.1.3']").focus()
    value = float(page.locator("[data-key='x.1.3']").get_attribute("data-value") or "nan")
    for _ in range(10):
        page.keyboard.press("+")
    tell(page, x=[[value + 1 if (i, e) == (1, 3) else n for e, n in enumerate(row)]
                  for i, row in enumerate(own_stage().x)])  # fmt: skip


@pytest.mark.parametrize(("act", "by"), [(edit_by_mouse, None), (edit_by_keyboard, 1.0)])
def test_a_changed_number_changes_what_follows(open_page: Open, act: Any, by: float | None) -> None:
    attention, x = module_and_x()
    page = open_page(own_stage(step="x"), viewport={"width": 1000, "height": 900})
    act(page)
    x[0, 1, 3] = 2.5 if by is None else x[0, 1, 3] + by
    tell(page, step="W_O")
    same(numbers(page, "y"), attention(x)[0])
    tell(page, step="x")
    page.get_by_role("button", name="Numbers as at first").click()
    tell(page, step="W_O")
    same(numbers(page, "y"), attention(module_and_x()[1])[0])


def test_a_weight_can_be_changed(open_page: Open) -> None:
    attention, x = module_and_x()
    page = open_page(own_stage(step="W"), viewport={"width": 1000, "height": 900})
    page.locator("[data-key='wk.7.2']").click()
    page.get_by_role("button", name="0.1 more").click()
    with torch.no_grad():
        attention.k_proj.weight[2, 7] += 0.1
    tell(page, step="W_O")
    same(numbers(page, "y"), attention(x)[0])


def test_wires_run_to_the_heads_that_can_know(open_page: Open) -> None:
    page = open_page(own_stage(step="x"), viewport={"width": 1000, "height": 900})
    wires = page.locator(".layer path")
    assert wires.count() == H * E
    page.locator("[data-key='x.0.7']").hover()
    assert wires.count() == H
    assert "Known to heads 0 and 1." in page.locator(".says").inner_text()
    page.get_by_label("sliced", exact=True).check()
    assert wires.count() == E
    page.locator("[data-key='x.0.7']").hover()
    assert wires.count() == 1
    assert "Known to head 1. Head 0 cannot know it." in page.locator(".says").inner_text()
    assert page.locator(".pill").all_inner_texts() == ["head 0 cannot know", "head 1 knows"]


def test_steps_follow_each_other_and_stop_when_touched(open_page: Open) -> None:
    page = open_page(stage(), viewport={"width": 1000, "height": 900})
    page.clock.install()
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(8000)
    assert page.locator(".rail [aria-current]").inner_text() == "q k v"
    page.locator(".caption").click()
    page.clock.run_for(8000)
    assert page.locator(".rail [aria-current]").inner_text() == "q k v"
    assert page.get_by_role("button", name="▶ Play").count() == 1


STEP = ".rail [aria-current]"


NOW = "step => document.querySelector('.rail [aria-current]').innerText === step"


def test_a_wheel_turns_the_strip_that_the_pointer_was_brought_to(open_html: Open) -> None:
    tall = '<div style="height: 1000px"></div>'
    page = open_html(
        tall + stage(step="x").page() + 3 * tall, viewport={"width": 900, "height": 800}
    )
    strip = page.locator(".rail").bounding_box()
    assert strip is not None
    # A page that scrolls past takes the strip below the pointer and on.
    page.mouse.move(400, 400)
    for turn in range(1, 9):
        page.mouse.wheel(0, 120)
        page.wait_for_function("y => scrollY >= y", arg=120 * turn - 5)
    under = "document.elementFromPoint(400, 400).closest('.rail') !== null"
    page.evaluate("y => scrollTo(0, y)", strip["y"] + strip["height"] / 2 - 400)
    page.wait_for_timeout(100)
    assert page.evaluate(under)
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 60)
    page.wait_for_function("y => scrollY > y", arg=before)
    assert page.locator(STEP).inner_text() == "x"
    # Whoever moves to the strip means it.
    page.locator(".rail").hover()
    page.mouse.move(420, page.locator(".rail").bounding_box()["y"] + 12)  # type: ignore[index]
    before = page.evaluate("scrollY")
    for step in ("W", "q k v"):
        page.mouse.wheel(0, 120)
        page.wait_for_function(NOW, arg=step)
    page.mouse.wheel(120, 0)
    page.wait_for_function(NOW, arg="split")
    for step in ("q k v", "W", "x", "words"):
        page.mouse.wheel(0, -120)
        page.wait_for_function(NOW, arg=step)
    assert page.evaluate("scrollY") == before
    page.wait_for_timeout(500)  # past the first step the page scrolls on, once the wheel has rested
    page.mouse.wheel(0, -120)
    page.wait_for_function("y => scrollY < y", arg=before)


def test_with_the_focus_on_the_strip_a_wheel_turns_it(open_html: Open) -> None:
    page = open_html(stage(step="x").page() + '<div style="height: 3000px"></div>')
    page.locator(STEP).focus()
    box = page.locator(".rail").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.mouse.wheel(0, 120)
    page.wait_for_function(NOW, arg="W")
    assert page.evaluate("scrollY") == 0


def test_on_a_phone_the_strip_scrolls_from_the_first_step_to_the_last(open_page: Open) -> None:
    page = open_page(stage(step="x"), viewport={"width": 390, "height": 800}, has_touch=True)
    rail = page.locator(".rail")
    for share, step in ((1, "output"), (0, "words"), (5 / 11, "scores")):
        rail.evaluate("(e, f) => (e.scrollLeft = f * (e.scrollWidth - e.clientWidth))", share)
        page.wait_for_function(
            "step => document.querySelector('.rail [aria-current]').innerText === step", arg=step
        )
    page.keyboard.press("Tab")
    rail.locator("[aria-current]").focus()
    page.keyboard.press("End")
    page.wait_for_timeout(100)
    assert page.locator(STEP).inner_text() == "output"
    for at, name in enumerate(STEPS):  # what is chosen is in sight, and stays chosen
        tell(page, step=name)
        page.wait_for_timeout(40)
        here = page.locator(STEP)
        assert rail.locator("button").nth(at).get_attribute("aria-current") == "step"
        box, strip = here.bounding_box(), rail.bounding_box()
        assert box is not None
        assert strip is not None
        assert strip["x"] <= box["x"] + 1
        assert box["x"] + box["width"] <= strip["x"] + strip["width"] + 1


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_it_plays_by_itself_once_seen_unless_calm_is_wanted(open_html: Open, motion: str) -> None:
    above = '<div style="height: 3000px"></div>'
    page = open_html(above + stage(play=True).page(), viewport={"width": 1000, "height": 900})
    page.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
    page.clock.install()
    page.reload()
    page.wait_for_timeout(100)
    page.clock.run_for(2000)
    assert page.locator(".rail [aria-current]").inner_text() == "words"  # not seen yet
    page.locator(".board").scroll_into_view_if_needed()
    page.wait_for_timeout(100)
    page.clock.run_for(2000)
    now = page.locator(".rail [aria-current]").inner_text()
    assert now == ("words" if motion == "reduce" else "x")


def test_a_word_is_text(open_page: Open) -> None:
    page = open_page(own_stage())
    assert page.locator("img").count() == 0
    assert page.locator(".chips span").all_inner_texts() == WORDS


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stage(x=torch.zeros(L, E)), "wanted a module for your x and words, got none"),
        (lambda: stage(module_and_x()[0]), "wanted x and words beside the module"),
        (lambda: stage(module_and_x()[0], torch.zeros(L, 7), WORDS), r"x of shape \(L, 10\), got"),
        (lambda: stage(*module_and_x(), WORDS[:2]), "wanted 3 words .*, got 2"),
        (lambda: stage(module_and_x()[0], torch.full((L, E), torch.nan), WORDS), "got NaN"),
        (lambda: stage(SplitMultiHeadAttention(15, 5), torch.zeros(2, 15), WORDS[:2]), "at most 6"),
        (lambda: own_stage(num_heads=2), "wanted num_heads from the module alone, got 2"),
        (lambda: own_stage(mode="one"), "wanted a mode of loop, split, sliced, got 'one'"),
        (lambda: stage(num_heads=3), "wanted num_heads of 1 or 2 in the example, got 3"),
        (lambda: stage(num_heads=1, step="W_O"), "wanted a step of words, .*, got 'W_O'"),
        (lambda: stage(mode="wide"), "wanted a mode of loop, split, sliced, got 'wide'"),
    ],
)
def test_bad_input_says_what_was_wanted(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_module_without_known_projections_is_refused() -> None:
    with pytest.raises(TypeError, match="wanted one of our multi-head modules"):
        stage(nn.Linear(3, 3), torch.zeros(2, 3), ["a", "b"])


def test_the_twin_says_what_goes_in_and_comes_out() -> None:
    attention, x = module_and_x()
    output, weights = attention(x, need_weights=True)
    static = own_stage().static()
    for numbers_ in (x[0, 0], weights[0, 1, 2], output[0, 1]):
        assert " ".join(f"{n:.2f}" for n in numbers_.tolist()) in static


def test_page_and_pictures_share_the_colours_of_query_key_and_value() -> None:
    root = Path(__file__).parents[2]
    page = (root / "book/_static/custom.css").read_text()
    picture = (root / "cleanformer_lite/viewers/shared.css").read_text()
    for name in ("query", "key", "value"):
        found = re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\)", picture)
        assert found is not None
        assert re.findall(rf"--{name}: (#\w+)", page) == list(found.groups())


def test_every_step_of_python_is_on_the_rail(open_page: Open) -> None:
    page = open_page(stage())
    for at, step in enumerate(STEPS):
        tell(page, step=step)
        steps = page.locator(".rail button")
        assert steps.count() == len(STEPS)
        assert steps.nth(at).get_attribute("aria-current") == "step"


@pytest.mark.parametrize("width", [700, 1000])
def test_nothing_that_fits_is_cut_at_an_edge(open_page: Open, width: int) -> None:
    page = open_page(stage(), viewport={"width": width, "height": 900})
    for step in STEPS:
        tell(page, step=step)
        page.wait_for_timeout(50)
        beyond = page.evaluate(
            "() => { const box = document.querySelector('.board').getBoundingClientRect();"
            "if (document.querySelector('.board').scrollWidth > box.width + 1) return [];"
            "return [...document.querySelectorAll('.board :is(.spot, .bracket)')]"
            ".filter(node => !node.closest('.gone') && node.checkVisibility("
            "{ opacityProperty: true, visibilityProperty: true }))"
            ".map(node => node.getBoundingClientRect())"
            ".filter(one => one.left < box.left - 0.6 || one.right > box.right + 0.6"
            " || one.top < box.top - 0.6 || one.bottom > box.bottom + 0.6)"
            ".map(one => [one.left - box.left, one.right - box.right,"
            " one.top - box.top, one.bottom - box.bottom]); }"
        )
        assert beyond == [], step
