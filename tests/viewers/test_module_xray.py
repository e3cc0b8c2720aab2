from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Page
from torch import nn

from cleanformer_lite import (
    HeadsBuiltInForward,
    HeadsInPlainList,
    LoopedMultiHeadAttention,
    SingleHeadAttention,
)
from cleanformer_lite.viewers.layer_properties import PROPERTIES, xray
from cleanformer_lite.viewers.module_xray import ModuleXray, show_xray

Open = Callable[..., Page]
E, H = 15, 3
X = torch.randn(2, 7, E)
LAYERS = 3 * H + 1  # query, key and value for each head; one output projection
# How many layers pass, counted by hand from the source of each module.
BY_HAND = {
    "built in forward": dict.fromkeys(PROPERTIES, 1) | {"gets_gradient": LAYERS, "own": LAYERS},
    "plain list": dict.fromkeys(PROPERTIES, 1)
    | {"gets_gradient": LAYERS, "stays": LAYERS, "own": LAYERS},
    "shared layer": dict.fromkeys(PROPERTIES, 4) | {"own": 1},
    "ModuleList": dict.fromkeys(PROPERTIES, LAYERS),
}


def modules() -> dict[str, nn.Module]:
    shared = LoopedMultiHeadAttention(E, H)
    shared.heads = nn.ModuleList([SingleHeadAttention(E, head_dim=E // H)] * H)
    return {
        "built in forward": HeadsBuiltInForward(E, H),
        "plain list": HeadsInPlainList(E, H),
        "shared layer": shared,
        "ModuleList": LoopedMultiHeadAttention(E, H),
    }


@pytest.mark.parametrize("name", BY_HAND)
def test_properties_are_those_counted_by_hand(name: str) -> None:
    seen = xray(modules()[name], X)
    counted = {name: sum(getattr(layer, name) for layer in seen.layers) for name in PROPERTIES}
    assert counted == BY_HAND[name]
    assert seen.calls_agree == (name != "built in forward")
    dark = [layer.name for layer in seen.layers if not layer.registered]
    assert ("out_proj" in dark) is False
    if name == "plain list":
        assert dark[0] == "heads.0.q_proj"
    if name == "shared layer":
        assert seen.layers[0].name == "heads.0.q_proj = heads.1.q_proj = heads.2.q_proj"
    numbers = sum(layer.numbers for layer in seen.layers if layer.registered)
    assert numbers == sum(p.numel() for p in modules()[name].parameters())


def forget_frozen(_: nn.Module, state: dict[str, Any], *__: Any) -> None:
    for key in [key for key in state if key.startswith("frozen.")]:
        del state[key]


class Odd(nn.Module):
    """One layer in a dictionary, one frozen and left out of what is saved, one under no_grad."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = {"deep": [nn.Linear(E, E)]}
        self.frozen = nn.Linear(E, E).requires_grad_(False)
        self.cut = nn.Linear(E, E)
        self.register_state_dict_post_hook(forget_frozen)  # type: ignore[no-untyped-call]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = self.cut(x)
        return self.frozen(self.hidden["deep"][0](x))  # type: ignore[no-any-return]


def test_each_fact_is_seen_apart_from_the_others() -> None:
    layers = {layer.name: layer for layer in xray(Odd(), X).layers}
    assert not layers["hidden.deep.0"].registered
    assert layers["hidden.deep.0"].gets_gradient
    assert layers["frozen"].in_optimizer
    assert not layers["frozen"].changes
    assert layers["frozen"].registered
    assert not layers["frozen"].in_state_dict
    assert layers["cut"].in_state_dict
    assert not layers["cut"].gets_gradient


def test_looking_changes_nothing() -> None:
    module = HeadsInPlainList(E, H).train()
    before = [p.clone() for p in module.heads[0].parameters()] + list(module.parameters())
    state = torch.random.get_rng_state()
    xray(module, X)
    after = [*module.heads[0].parameters(), *module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in after)
    assert module.training
    assert torch.equal(state, torch.random.get_rng_state())


def test_text_says_the_counts() -> None:
    text = str(xray(modules()["plain list"], X))
    assert "saved by state_dict()          1 of 10" in text
    assert text.endswith("two calls agree                yes")


def viewer() -> ModuleXray:
    return show_xray(modules(), X)


def by_mouse(page: Page) -> None:
    page.get_by_role("button", name="plain list").click()
    for act in ("train one step", "save", "load into a new one"):
        page.get_by_role("button", name=act).click()


def by_touch(page: Page) -> None:
    page.get_by_role("button", name="plain list").tap()
    for act in ("train one step", "save", "load into a new one"):
        page.get_by_role("button", name=act).tap()


def by_keyboard(page: Page) -> None:
    for key in ("Tab", "ArrowRight", "Enter", "Tab", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    for key in ("ArrowRight", "ArrowRight", "Enter", "ArrowRight", "Enter"):
        page.keyboard.press(key)


def restored_by_torch() -> set[str]:
    """The layers of a plain list that another of its kind has after it loaded the file."""
    torch.manual_seed(0)
    old, new = HeadsInPlainList(E, H), HeadsInPlainList(E, H)
    new.load_state_dict(old.state_dict())
    layers = {f"heads.{i}.{name}": [getattr(one.heads[i], name) for one in (old, new)]
              for i in range(H) for name in ("q_proj", "k_proj", "v_proj")}  # fmt: skip
    layers["out_proj"] = [old.out_proj, new.out_proj]
    return {name for name, (a, b) in layers.items() if torch.equal(a.weight, b.weight)}


@pytest.mark.parametrize("act", [by_mouse, by_touch, by_keyboard])
def test_what_is_not_saved_comes_back_as_other_numbers(
    open_page: Open, open_live: Open, act: Any
) -> None:
    texts = []
    for opened in (open_page, open_live):
        page = opened(viewer(), has_touch=act is by_touch)
        act(page)
        assert set(page.locator("tr.lit .name").all_inner_texts()) == restored_by_torch()
        numbers = "all => all.map(e => e.dataset.numbers)"
        lit = page.locator("tr.lit .numbers").evaluate_all(numbers)
        assert lit == ["a'", "a'"]  # trained one step, and as in the file
        dark = page.locator("tr.dark .numbers").evaluate_all(numbers)
        assert len(dark) == LAYERS - 1
        assert not any(name.startswith("a") for name in dark)
        texts.append(page.locator(".says").inner_text())
    assert texts[0] == texts[1]
    saved = sum(value.numel() for value in modules()["plain list"].state_dict().values())
    assert f"1 of 10 layers restored, {saved} of 960 numbers." in texts[0]


# The button, the fact that says who passes, and what is then to be read.
ACTED = {
    "find": ("parameters()", "registered", "found"),
    "step": ("train one step", "changes", "changed"),
    "move": ('.to("cuda")', "moves", "moved"),
    "save": ("save", "in_state_dict", "saved"),
    "call": ("call it twice", "stays", "still there"),
}


@pytest.mark.parametrize("act", ACTED)
@pytest.mark.parametrize("name", BY_HAND)
def test_every_act_takes_along_what_was_counted_by_hand(
    open_page: Open, name: str, act: str
) -> None:
    label, fact, words = ACTED[act]
    page = open_page(viewer())
    page.get_by_role("button", name=name).click()
    page.get_by_role("button", name=label).click()
    layers = len(xray(modules()[name], X).layers)
    said = page.locator(".says").inner_text()
    assert f"{name}, {label}: {BY_HAND[name][fact]} of {layers} layers {words}" in said
    assert page.locator("tr.lit").count() == BY_HAND[name][fact]
    assert page.locator("tr.dark").count() == layers - BY_HAND[name][fact]
    if act == "step":
        arrives = page.get_by_text("gradient arrives, unchanged").count()
        assert arrives == BY_HAND[name]["gets_gradient"] - BY_HAND[name]["changes"]
    if act == "move":
        assert page.locator("td:nth-child(3) .numbers").count() == BY_HAND[name]["moves"]
    if act == "call":
        assert ("The two calls disagree." in said) == (name == "built in forward")
    if act == "find":
        assert ("what looks like many is one" in said) == (name == "shared layer")


def test_two_devices_in_one_module_are_refused(open_page: Open) -> None:
    for name in ("plain list", "ModuleList"):
        page = open_page(viewer())
        page.get_by_role("button", name=name).click()
        page.get_by_role("button", name='.to("cuda")').click()
        page.get_by_role("button", name="call it twice").click()
        refused = (
            "Expected all tensors to be on the same device" in page.locator(".says").inner_text()
        )
        assert refused == (name == "plain list")


def test_the_buttons_do_not_give_the_answers_away(open_page: Open) -> None:
    page = open_page(viewer())
    assert not any("/" in text or any(map(str.isdigit, text))
                   for text in page.locator("button").all_inner_texts())  # fmt: skip
    assert page.locator(".outcome").first.inner_text() == ""


def test_starting_again_and_another_module_forget_what_was_done(open_page: Open) -> None:
    page = open_page(viewer())
    for leave in ("Start again", "ModuleList"):
        page.get_by_role("button", name="save").click()
        assert page.locator("td:nth-child(4) .numbers").count() == 1
        page.get_by_role("button", name=leave).click()
        assert page.locator("td:nth-child(4) .numbers").count() == 0


def test_bad_input_says_what_was_wanted() -> None:
    with pytest.raises(ValueError, match="wanted a module at least, got none"):
        show_xray({}, X)
    with pytest.raises(ValueError, match="wanted a module with layers to look at, got ReLU"):
        show_xray({"relu": nn.ReLU()}, X)
    with pytest.raises(ValueError, match="wanted a module that returns a tensor, got tuple"):
        xray(nn.LSTM(E, 2), X)
    with pytest.raises(ValueError, match="wanted at most 64 layers, got 65 in 'deep'"):
        show_xray({"deep": nn.Sequential(*(nn.Linear(E, E) for _ in range(65)))}, X)
    with pytest.raises(ValueError, match="wanted a scan from 0 to 3, got 4"):
        viewer().scan = 4
    with pytest.raises(ValueError, match=r"wanted acts of .*, got \['fly'\]"):
        viewer().acts = ["fly"]


def test_the_twin_counts_every_fact() -> None:
    row = '<tr><th scope="row">saved by state_dict()</th><td>1 of 10</td><td>1 of 10</td>'
    assert row + "<td>4 of 4</td><td>10 of 10</td></tr>" in viewer().static()
