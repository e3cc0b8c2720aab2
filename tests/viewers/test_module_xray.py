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
from cleanformer_lite.viewers.layer_facts import FACTS, xray
from cleanformer_lite.viewers.module_xray import MEANING, ModuleXray, show_xray

Open = Callable[..., Page]
E, H = 15, 3
X = torch.randn(2, 7, E)
LAYERS = 3 * H + 1  # query, key and value for each head; one output projection
# How many layers pass, counted by hand from the source of each module.
BY_HAND = {
    "built in forward": dict.fromkeys(FACTS, 1) | {"gets_gradient": LAYERS, "own": LAYERS},
    "plain list": dict.fromkeys(FACTS, 1)
    | {"gets_gradient": LAYERS, "stays": LAYERS, "own": LAYERS},
    "shared layer": dict.fromkeys(FACTS, 4) | {"own": 1},
    "ModuleList": dict.fromkeys(FACTS, LAYERS),
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
def test_facts_are_those_counted_by_hand(name: str) -> None:
    seen = xray(modules()[name], X)
    counted = {fact: sum(getattr(layer, fact) for layer in seen.layers) for fact in FACTS}
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


class Odd(nn.Module):
    """One layer in a dictionary, one frozen, one under no_grad, one of parameters alone."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = {"deep": [nn.Linear(E, E)]}
        self.frozen = nn.Linear(E, E).requires_grad_(False)
        self.cut = nn.Linear(E, E)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = self.cut(x)
        return self.frozen(self.hidden["deep"][0](x))  # type: ignore[no-any-return]


def test_each_fact_is_seen_apart_from_the_others() -> None:
    facts = {layer.name: layer for layer in xray(Odd(), X).layers}
    assert not facts["hidden.deep.0"].registered
    assert facts["hidden.deep.0"].gets_gradient
    assert facts["frozen"].in_optimizer
    assert not facts["frozen"].changes
    assert facts["cut"].in_state_dict
    assert not facts["cut"].gets_gradient


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
    page.get_by_role("button", name="saved by").click()


def by_keyboard(page: Page) -> None:
    for key in ("Tab", "ArrowRight", "Enter", "Tab", *["ArrowRight"] * 4, "Enter"):
        page.keyboard.press(key)


@pytest.mark.parametrize("act", [by_mouse, by_keyboard])
def test_lamps_show_what_torch_saves(open_page: Open, open_live: Open, act: Any) -> None:
    saved = modules()["plain list"].state_dict()
    numbers = sum(value.numel() for value in saved.values())
    texts = []
    for opened in (open_page, open_live):
        page = opened(viewer())
        act(page)
        lit = page.locator("li.lit .name").all_inner_texts()
        assert lit == sorted({key.rsplit(".", 1)[0] for key in saved})
        assert page.locator("li.dark").count() == LAYERS - len(lit)
        texts.append(page.locator(".says").inner_text())
    assert texts[0] == texts[1]
    assert f"saved by state_dict()? 1 of 10 layers, {numbers} of 960 numbers." in texts[0]
    assert texts[0].endswith("Two calls agree.")


def test_every_fact_has_its_meaning() -> None:
    assert list(MEANING) == list(FACTS)


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


def test_the_twin_counts_every_fact() -> None:
    row = '<tr><th scope="row">saved by state_dict()</th><td>1 of 10</td><td>1 of 10</td>'
    assert row + "<td>4 of 4</td><td>10 of 10</td></tr>" in viewer().static()
