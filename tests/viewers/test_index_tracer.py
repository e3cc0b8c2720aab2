import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor
from torch.nn import functional as F

from cleanformer_lite.checks import MISTAKES, check
from cleanformer_lite.viewers.index_tracer import CHIPS, LETTERS, RECIPES, run, trace_index
from cleanformer_lite.viewers.mount import HERE

Open = Callable[..., Page]
N, L, H, D = 2, 5, 3, 4
SIZES = {"N": N, "L": L, "H": H, "D": D, "E": H * D}
WALK = (HERE / "tensor_walk.js").read_text(encoding="utf8")


def torch_step(x: Tensor, chip: str, attend: Callable[[Tensor], Tensor]) -> Tensor:
    match chip:
        case ".view(N, L, H, D)":
            return x.view(N, L, H, D)
        case ".view(N, H, L, D)":
            return x.view(N, H, L, D)
        case ".view(N, L, E)":
            return x.view(N, L, H * D)
        case ".reshape(N, L, E)":
            return x.reshape(N, L, H * D)
        case ".transpose(1, 2)":
            return x.transpose(1, 2)
        case ".transpose(2, 3)":
            return x.transpose(2, 3)
        case ".contiguous()":
            return x.contiguous()
    return attend(x)


def many_recipes() -> list[list[str]]:
    """Every recipe of one to three chips, and some longer ones that attend and come back."""
    short = [list(r) for n in (1, 2, 3) for r in itertools.product(CHIPS, repeat=n)]
    dice = random.Random(0)
    return short + [dice.choices(CHIPS, k=dice.randint(4, 7)) for _ in range(300)]


@pytest.fixture
def walk(open_html: Open) -> Page:
    return open_html(f"<script>{WALK}</script>")


def test_every_recipe_does_what_torch_does(walk: Page) -> None:
    """Shapes, strides, memory and refusals, word for word."""
    recipes = many_recipes()
    shown = walk.evaluate(
        "([recipes, sizes]) => recipes.map(recipe => { const steps = stepsOfRecipe(recipe, sizes);"
        "const { t, error } = steps.at(-1);"
        "return [t.shape, t.strides, walk(t, t.memory), contiguous(t), error ?? '', steps.length];"
        "})",
        [recipes, SIZES],
    )
    refused = 0
    for recipe, (shape, strides, numbers, straight, error, count) in zip(
        recipes, shown, strict=True
    ):
        x = torch.arange(N * L * H * D).view(N, L, H * D)
        said, done = "", 1
        for chip in recipe:
            done += 1
            try:
                x = torch_step(x, chip, lambda x: x.clone(memory_format=torch.contiguous_format))
            except (RuntimeError, IndexError) as refusal:
                said = f"{type(refusal).__name__}: {refusal}"
                refused += 1
                break
        assert (tuple(shape), tuple(strides), numbers) == (
            x.shape, x.stride(), x.flatten().tolist()
        ), recipe  # fmt: skip
        assert (straight, error, count) == (x.is_contiguous(), said, done), recipe
    assert refused > 100


def test_the_lamp_is_lit_where_gradients_reach_back(walk: Page) -> None:
    """Causal attention by torch: does an earlier output depend on a later input?"""
    recipes = [
        recipe for recipe in many_recipes() if recipe.count("attend") == 1
        and recipe[-1] in (".reshape(N, L, E)", ".view(N, L, E)")
    ]  # fmt: skip
    shown = walk.evaluate(
        "([recipes, sizes]) => recipes.map(recipe => { const steps = stepsOfRecipe(recipe, sizes);"
        "return steps.at(-1).error ? null : Boolean(leak(steps.at(-1).t, sizes)); })",
        [recipes, SIZES],
    )
    seen = set()
    for recipe, lit in zip(recipes, shown, strict=True):
        if lit is None:
            continue
        torch.manual_seed(0)
        x = torch.randn(N, L, H * D, dtype=torch.float64, requires_grad=True)
        y = x
        for chip in recipe:
            y = torch_step(
                y, chip, lambda y: F.scaled_dot_product_attention(y, y, y, is_causal=True)
            )
        leaks = False
        for n, position in itertools.product(range(N), range(L)):
            (reach,) = torch.autograd.grad(y[n, position].square().sum(), x, retain_graph=True)
            reached = reach.abs().sum(-1) > 1e-12
            reached[n, : position + 1] = False
            leaks |= bool(reached.any())
        assert lit == leaks, recipe
        seen.add(leaks)
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("recipe", "exercise", "answer"),
    [
        ("a bare view", "split_heads.split", lambda x, h: x.view(x.shape[0], h, x.shape[1], -1)),
        (
            [".view(N, L, H, D)", "attend", ".reshape(N, L, E)"],
            "split_heads.split",
            lambda x, h: x.view(*x.shape[:2], h, -1),
        ),
        ("a bare merge", "split_heads.merge", lambda x: x.reshape(x.shape[0], x.shape[2], -1)),
        (
            [
                ".view(N, L, H, D)",
                ".transpose(1, 2)",
                "attend",
                ".transpose(1, 2)",
                ".view(N, L, E)",
            ],
            "split_heads.merge",
            lambda x: x.transpose(1, 2).view(x.shape[0], x.shape[2], -1),
        ),
    ],
)
def test_a_mistake_has_the_name_that_the_check_gives(
    open_page: Open, recipe: Any, exercise: str, answer: Callable[..., Tensor]
) -> None:
    named = [name for name in MISTAKES if name in str(check(exercise, answer))]
    said = open_page(trace_index(N, L, H, D, recipe=recipe)).locator(".says").inner_text()
    found = [name for name in MISTAKES if f"The check calls this {name}." in said]
    assert len(found) == 1
    assert found == named


def by_mouse(page: Page) -> None:
    for chip in RECIPES["a bare merge"]:
        page.locator(".chips").get_by_text(chip, exact=True).click()
    page.get_by_role("button", name="b1 at").click()


def by_touch(page: Page) -> None:
    for chip in RECIPES["a bare merge"]:
        page.locator(".chips").get_by_text(chip, exact=True).tap()
    page.get_by_role("button", name="b1 at").tap()


def by_keyboard(page: Page) -> None:
    page.get_by_label("size D").focus()
    page.keyboard.press("Tab")
    for chip in RECIPES["a bare merge"]:
        while page.evaluate("document.activeElement.textContent") != chip:
            page.keyboard.press("Tab" if CHIPS.index(chip) else "Shift+Tab")
            if page.evaluate("document.activeElement.parentNode.className").count("chips") == 0:
                page.locator(".chips button").first.focus()
        page.keyboard.press("Enter")
    page.locator(".stage [tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "End", "Home", *["ArrowRight"] * 3, "Enter"):
        page.keyboard.press(key)


@pytest.mark.parametrize("act", [by_mouse, by_touch, by_keyboard])
def test_page_and_live_build_a_recipe_and_follow_a_number(
    open_page: Open, open_live: Open, act: Any
) -> None:
    texts = []
    for opened in (open_page, open_live):
        page = opened(trace_index(), has_touch=act is by_touch)
        act(page)
        assert page.locator(".recipe button").all_inner_texts() == [
            "x", *RECIPES["a bare merge"],
        ]  # fmt: skip
        texts.append(page.locator(".says").inner_text())
        # Drawing again keeps the reader where he was.
        assert page.evaluate("document.activeElement.dataset.key") == "cell5"
        assert page.locator(".stage [aria-pressed=true]").get_attribute("data-key") == "cell5"
    assert texts[0] == texts[1]
    merged = torch.arange(12).view(1, 3, 2, 2).transpose(1, 2).reshape(1, 3, 4)
    assert f"{int((merged != torch.arange(12).view(1, 3, 4)).sum())} of 12 numbers" in texts[0]
    row, column = (merged[0] == 5).nonzero()[0].tolist()
    assert f"b1 is at [0, {row}, {column}], memory address 0·12 + {row}·4 + {column}·1" in texts[0]
    assert "merge_without_transpose" in texts[0]
    assert page.locator(".lamp-line.on").inner_text().startswith("● The future leaks")


def test_the_right_recipe_is_told_so_and_a_hidden_one_is_not(open_page: Open) -> None:
    page = open_page(trace_index(recipe="the right one"))
    assert page.locator(".says").inner_text().startswith("✓ Right")
    assert page.locator(".lamp-line.on").count() == 0
    page.get_by_role("button", name="Start again").click()
    for chip in (".view(N, H, L, D)", "attend", ".reshape(N, L, E)"):
        page.locator(".chips").get_by_text(chip, exact=True).click()
    said = page.locator(".says").inner_text()
    assert "All numbers are back in their places, which hides it." in said
    assert "split_without_transpose" in said
    page.get_by_role("button", name="Undo").click()
    assert page.locator(".recipe button").count() == 3


def test_after_a_refusal_only_going_back_is_left(open_page: Open) -> None:
    page = open_page(trace_index(recipe=[".transpose(1, 2)", ".view(N, L, E)"]))
    assert page.locator(".chips button:enabled").count() == 0
    assert page.locator(".refused").count() == 1
    page.get_by_role("button", name="Undo").click()
    assert page.locator(".chips button:enabled").count() == len(CHIPS)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_strip_shows_each_stride_as_an_arrow(open_page: Open, recipe: str) -> None:
    page = open_page(trace_index(N, L, H, D, recipe=recipe), viewport={"width": 390, "height": 800})
    x = torch.arange(N * L * H * D).view(N, L, H * D)
    for step, chip in enumerate(["x", *RECIPES[recipe]]):
        x = x if chip == "x" else torch_step(x, chip, Tensor.contiguous)
        page.locator(".recipe button").nth(step).click()
        steps = {abs(int(text.split()[-1].replace("−", "-")))
                 for text in page.locator(".strides text").all_text_contents()}  # fmt: skip
        assert steps == set(x.stride())
    arrow = page.locator(".strides .arrow").first
    assert arrow.evaluate("e => getComputedStyle(e).fill") == "none"  # a line, not an area
    tops = page.locator(".byte").evaluate_all(
        "all => [...new Set(all.map(e => e.offsetTop))].length"
    )
    assert tops >= N * L // 2  # it folds at whole positions


def test_sizes_can_be_changed(open_page: Open) -> None:
    page = open_page(trace_index())
    page.get_by_label("size L").select_option("5")
    page.get_by_label("size H").select_option("1")
    assert "shape (1, 5, 2)" in page.locator(".tensor-layout").inner_text()


@pytest.mark.parametrize("sizes", [(0, 3, 2, 2), (3, 3, 2, 2), (1, 6, 2, 2), (1, 3, 5, 2)])
def test_sizes_that_do_not_fit_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"wanted sizes from 1 \(N to 2, .*, got \["):
        trace_index(*sizes)


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wanted one of the recipes .*, got 'left'"):
        trace_index(recipe="left")
    with pytest.raises(ValueError, match=r"wanted at most 8 steps of .*, got \['.permute"):
        trace_index(recipe=[".permute(0, 2, 1, 3)"])


def test_recipes_run_in_python_as_they_are_written() -> None:
    x = torch.arange(N * L * H * D).view(N, L, H * D)
    assert torch.equal(run(RECIPES["the right one"], x, H), x)
    bare = x.view(N, H, L, D).transpose(1, 2).reshape(N, L, H * D)
    assert torch.equal(run(RECIPES["a bare view"], x, H), bare)


def test_the_twin_says_the_outcome() -> None:
    static = trace_index().static()
    assert '<tr><th scope="row">a</th><td>a0 a1 a2 a3</td></tr>' in static
    assert '<tr><th scope="row">a</th><td>a0 a1 b0 b1</td></tr>' in static  # bare merge
    assert LETTERS[2] in static
