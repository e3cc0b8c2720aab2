import datetime
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Page

from cleanformer_lite import SlicedMultiHeadAttention
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.checkpoints import load_model
from cleanformer_lite.translation.corpus import as_tensors
from cleanformer_lite.translation.decoding import translate
from cleanformer_lite.translation.kinds import NoAttention, load_recorded
from cleanformer_lite.translation.korean_dates import in_english, in_korean
from cleanformer_lite.translation.looking_inside import (
    attention_maps,
    attention_modules,
    without_head,
)
from cleanformer_lite.translation.six_bits import rounded
from cleanformer_lite.translation.training import new_model
from cleanformer_lite.viewers.live_translator import (
    LiveTranslator,
    live_translator,
    shipped_translators,
    small_translator,
    weight_files,
)

Open = Callable[..., Page]
DAY = datetime.date(2026, 11, 23)
OTHER = datetime.date(1987, 6, 30)
HEADS = [("decoder 0", 1), ("cross 0", 3)]


@pytest.fixture(scope="module")
def shipped() -> Transformer:
    return rounded(load_model()[0])


def viewer() -> LiveTranslator:
    """The shipped model alone, with costs that are easy to tell apart."""
    groups = [f"{name} {layer}" for layer in (0, 1) for name in ("encoder", "decoder", "cross")]
    costs = {
        "right": 0.99,
        "without one head": {name: [0.91, 0.21, 0.92, 0.93] for name in groups},
        "without the group": {name: 0.6 if "encoder" in name else 0.4 for name in groups},
    }
    return live_translator(
        {"fused": load_model()[0], "none": "Sunday, May 1, 195"},
        costs={"fused": costs},
        days=[OTHER],
        days_asked=77,
    )


def without(model: Transformer, heads: list[tuple[str, int]], day: datetime.date = DAY) -> str:
    modules = attention_modules(model)
    with ExitStack() as silent:
        for name, head in heads:
            silent.enter_context(without_head(modules[name], head))
        return translate(model, [in_korean(day)])[0]


def press_tiles(page: Page) -> None:
    for name, head in HEADS:
        page.locator(f"[data-key='{name}/{head}']").click()


def tap_tiles(page: Page) -> None:
    for name, head in HEADS:
        page.locator(f"[data-key='{name}/{head}']").tap()


def tiles_by_keyboard(page: Page) -> None:
    page.locator("[data-key='encoder 0/0']").focus()
    for _ in range(9):  # eight heads of the encoder, then the first of the decoder
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    for _ in range(2):
        page.keyboard.press("ArrowDown")  # decoder 1, cross 0
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")


@pytest.mark.parametrize("act", [press_tiles, tap_tiles, tiles_by_keyboard])
def test_a_head_off_writes_what_torch_writes_without_it(
    open_page: Open, open_live: Open, shipped: Transformer, act: Any
) -> None:
    expected = without(shipped, HEADS)
    assert expected != in_english(DAY)
    texts = []
    for opened in (open_page, open_live):
        page = opened(viewer(), has_touch=True)
        page.wait_for_selector(".lt-target button")
        assert page.locator(".says").inner_text() == f"It writes “{in_english(DAY)}”: right."
        act(page)
        texts.append(page.locator(".says").inner_text())
        assert page.locator("[aria-pressed=false][data-key='decoder 0/1']").count() == 1
    assert texts[0] == texts[1]
    told = f"It writes “{expected}” without decoder 0 head 1 and cross 0 head 3: wrong."
    assert texts[0].startswith(told)
    assert texts[0].endswith(f"It should be “{in_english(DAY)}”.")


def test_what_is_wrong_is_said_field_by_field(open_page: Open) -> None:
    page = open_page(viewer())
    page.get_by_label("none").check()
    says = page.locator(".says").inner_text()
    assert "It writes “Sunday, May 1, 195”: wrong." in says
    assert (
        "The weekday should be Monday, not Sunday; the month should be November, not May; "
        "the day should be 23, not 1; the year should be 2026, not 195." in says
    )
    assert page.locator(".lt-target .wrong").inner_text() == "Sunday,"
    assert page.locator(".lt-tile").count() == 0


def test_a_piece_shows_what_each_cross_head_read(open_page: Open, shipped: Transformer) -> None:
    source, target = as_tensors(([in_korean(DAY)], [in_english(DAY)]))
    maps = attention_maps(shipped, source, target[:, :-1])
    page = open_page(viewer())
    for act in ("hover", "focus", "click"):
        row = {"hover": 1, "focus": 2, "click": 3}[act]
        getattr(page.locator(f"[data-key=piece{row}]"), act)()
        drawn = page.locator("[data-link]").evaluate_all("all => all.map(p => p.dataset.link)")
        expected = {
            f"cross {layer}/{head} {row} {column}": share
            for layer in (0, 1)
            for head in range(4)
            for column, share in enumerate(maps[f"cross {layer}"][0, head, row].tolist())
            if share >= 0.05
        }
        found = {link.rsplit(" ", 1)[0]: float(link.rsplit(" ", 1)[1]) for link in drawn}
        assert found == pytest.approx(expected, abs=1e-4)


def test_a_tile_shows_its_own_lines(open_page: Open, shipped: Transformer) -> None:
    source, target = as_tensors(([in_korean(DAY)], [in_english(DAY)]))
    share = attention_maps(shipped, source, target[:, :-1])["decoder 0"][0, 1, 3, 3].item()
    page = open_page(viewer())
    page.locator("[data-key='decoder 0/1']").hover()
    assert page.locator("[data-link^='decoder 0/1 3 3']").count() == 1
    reads = page.locator(".lt-reads")
    assert f"“3” ← “2” {share:.2f}" in reads.inner_text()
    page.locator("h1, body").first.hover(position={"x": 1, "y": 1})
    assert reads.inner_text().startswith("“Monday”, probability")


def test_another_day(open_page: Open, shipped: Transformer) -> None:
    page = open_page(viewer())
    page.locator("input[type=date]").fill("2000-07-11")
    day = datetime.date(2000, 7, 11)
    assert translate(shipped, [in_korean(day)])[0] in page.locator(".says").inner_text()
    page.get_by_role("button", name="Any day it never saw").click()
    assert page.locator("input[type=date]").input_value() == OTHER.isoformat()
    assert in_english(OTHER) in page.locator(".says").inner_text()
    syllables = page.locator(".lt-syllable").all_inner_texts()
    assert [re.sub("[a-z\\s]", "", one) for one in syllables] == list(
        in_korean(OTHER).replace(" ", "")
    )


def test_presets(open_page: Open, shipped: Transformer) -> None:
    page = open_page(viewer())
    page.get_by_role("button", name="Most needed head off").click()
    assert page.locator("[data-key][aria-pressed=false].lt-tile").count() == 1
    assert page.locator("[data-key='encoder 0/1']").get_attribute("aria-pressed") == "false"
    page.get_by_role("button", name="A random half off").click()
    assert page.locator(".lt-tile[aria-pressed=false]").count() == 12
    page.get_by_role("button", name="All on").click()
    assert page.locator(".lt-tile[aria-pressed=false]").count() == 0
    page.get_by_role("button", name="cross 1: all off").click()
    said = without(shipped, [("cross 1", head) for head in range(4)])
    assert (
        f"It writes “{said}” without cross 1 head 0, cross 1 head 1"
        in page.locator(".says").inner_text()
    )


def test_costs_wait_for_a_guess(open_page: Open) -> None:
    page = open_page(viewer())
    assert page.locator(".lt-cost").count() == 0
    assert "0.21" not in page.locator(".lt-grid").inner_text()
    page.get_by_label("can go: encoder 0").check()
    page.get_by_label("can go: cross 1").check()
    page.get_by_role("button", name="Then compare").click()
    assert (
        "You said encoder 0 and cross 1 can go: right about 4 of 6."
        in page.locator(".lt-verdict").inner_text()
    )
    assert "without encoder 0 and encoder 1. " in page.locator(".lt-verdict").inner_text()
    assert (
        page.locator(".lt-tile .lt-cost").all_inner_texts() == ["0.91", "0.21", "0.92", "0.93"] * 6
    )
    assert (
        page.locator(".lt-name .lt-cost").all_inner_texts()
        == ["0.60 right without"] * 2 + ["0.40 right without"] * 4
    )


def test_on_a_phone_the_line_stays_in_sight(open_html: Open) -> None:
    """Also where the book's boxes for output would scroll by themselves."""
    page = open_html(
        "<style>.cell_output { overflow: auto }</style>"
        f'<div class="cell_output">{viewer().page()}</div><p style="height: 900px">',
        viewport={"width": 390, "height": 800},
        has_touch=True,
    )
    tile = page.locator("[data-key='cross 1/3']")
    tile.scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 200)")
    tile.tap()
    box = page.locator(".says").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 100
    assert "without cross 1 head 3" in page.locator(".says").inner_text()


def test_nothing_is_computed_before_it_is_seen(open_html: Open) -> None:
    page = open_html('<div style="height: 5000px"></div>' + viewer().page())
    page.wait_for_timeout(300)
    assert page.locator(".lt-target button").count() == 0
    page.locator(".says").scroll_into_view_if_needed()
    page.wait_for_selector(".lt-target button")


def test_the_other_kinds_load_when_they_are_chosen(open_html: Open, tmp_path: Path) -> None:
    folder = tmp_path / "_static" / "translators"
    folder.mkdir(parents=True)
    for name, script in weight_files().items():
        (folder / name).write_text(script, encoding="utf8")
    page = open_html('<link href="_static/x.css">' + shipped_translators().page())
    assert page.evaluate("globalThis.translatorWeights") is None
    page.get_by_label("sliced").check()
    page.wait_for_function("document.querySelector('.says').innerText.startsWith('It writes')")
    expected = translate(rounded(load_recorded("sliced")), [in_korean(DAY)])[0]
    assert f"It writes “{expected}”" in page.locator(".says").inner_text()
    assert list(page.evaluate("globalThis.translatorWeights")) == ["sliced"]
    page.get_by_label("built in forward").check()
    again = page.get_by_role("button", name="Write it again")
    again.wait_for()
    said = set()
    for _ in range(12):
        again.click()
        said.add(page.locator(".says").inner_text())
    assert len(said) > 1
    assert all("Its heads were drawn for this line alone" in one for one in said)
    page.get_by_label("fused").check()
    assert not again.is_visible()
    assert page.locator(".says").inner_text() == f"It writes “{in_english(DAY)}”: right."


def test_the_small_one_brings_its_weights_when_it_is_seen(open_html: Open, tmp_path: Path) -> None:
    folder = tmp_path / "_static" / "translators"
    folder.mkdir(parents=True)
    (folder / "fused.js").write_text(weight_files()["fused.js"], encoding="utf8")
    above = '<link href="_static/x.css"><div style="height: 5000px"></div>'
    html = small_translator().page()
    assert len(html.encode()) < 60_000
    page = open_html(above + html)
    assert page.evaluate("globalThis.translatorWeights") is None
    page.locator(".says").scroll_into_view_if_needed()
    page.wait_for_selector(".lt-target button")
    assert page.locator(".says").inner_text() == f"It writes “{in_english(DAY)}”: right."
    assert page.locator(".lt-tile").count() == 0
    page.get_by_role("button", name="Most needed head off").click()
    assert "wrong" in page.locator(".says").inner_text()


def test_a_notebook_brings_all_weights_along(open_live: Open) -> None:
    torch.manual_seed(0)
    small = {"embed_dim": 12, "num_heads": 3, "layers": 1, "hidden": 7}
    mine = new_model(**small, attention=SlicedMultiHeadAttention).eval()
    page = open_live(live_translator({"first": load_model()[0], "mine": mine}))
    page.get_by_label("mine").check()
    says = page.locator(".says").inner_text()
    assert says.startswith("It writes “")
    assert page.locator(".lt-tile").count() == 9
    assert page.locator(".lt-verdict").inner_text() == ""  # nothing is known of costs


def test_without_a_kernel_python_has_answered_once(open_page: Open, shipped: Transformer) -> None:
    """What a page of a model shows that only Python can compute."""
    page = open_page(live_translator(load_model()[0], arithmetic="python"))
    assert page.locator(".says").inner_text() == f"It writes “{in_english(DAY)}”: right."
    assert page.locator(".lt-tile").count() == 24
    page.locator("[data-key='decoder 0/1']").click()
    assert "Run this in a notebook" in page.locator(".says").inner_text()


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"day": "1899-12-31", "off": []}, "ValueError: wanted a day from 1900"),
        ({"day": "1999-12-31", "off": ["cross 0/4"]}, "ValueError: wanted a head from 0 to 3"),
    ],
)
def test_what_python_cannot_translate_is_told(asked: dict[str, Any], problem: str) -> None:
    viewer = live_translator({"one": load_model()[0]}, arithmetic="python")
    viewer.asked = {"kind": "one", **asked}
    assert viewer.answer["to"] == viewer.asked
    assert viewer.answer["problem"].startswith(problem)


def test_python_answers_with_the_model_as_it_is_then() -> None:
    """Also one that a page could not hold, and one that was trained on meanwhile."""
    torch.manual_seed(0)
    mine = new_model(embed_dim=256, num_heads=2, layers=1, hidden=5)
    viewer = live_translator({"mine": mine}, arithmetic="python")
    viewer.asked = {"kind": "mine", "day": DAY.isoformat(), "off": [], "turn": 0}
    first = viewer.answer
    torch.nn.init.zeros_(mine.decoder_norm.weight)
    torch.nn.init.zeros_(mine.decoder_norm.bias)
    viewer.asked = {"kind": "mine", "day": DAY.isoformat(), "off": [], "turn": 1}
    assert viewer.answer["shares"] != first["shares"]
    assert viewer.answer["shares"][0] == pytest.approx(1 / mine.embedding.num_embeddings, abs=1e-5)


def test_the_twin_holds_the_costs() -> None:
    twin = viewer().static()
    assert f"<td>{in_english(DAY)}</td>" in twin
    assert "<td>0.91</td><td>0.21</td><td>0.92</td><td>0.93</td><td>0.60</td>" in twin


def test_what_is_no_such_model_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one model, got none"):
        live_translator({})
    with pytest.raises(ValueError, match=r"your model: wanted a model of \d+ pieces, got 5"):
        live_translator(Transformer(5, layers=1))
    with pytest.raises(ValueError, match="wanted a date like"):
        live_translator({"none": "hello"})
    with pytest.raises(ValueError, match="wanted arithmetic by 'page' or 'python', got 'gpu'"):
        live_translator(new_model(layers=1), arithmetic="gpu")
    with pytest.raises(ValueError, match="big: wanted at most 1,000,000 weights"):
        live_translator({"big": new_model(embed_dim=256)})
    with pytest.raises(
        TypeError, match=r"wanted one of our multi-head modules .*, got NoAttention"
    ):
        live_translator(new_model(attention=NoAttention))
    broken = new_model(layers=1)
    torch.nn.init.constant_(broken.embedding.weight, torch.nan)
    with pytest.raises(ValueError, match="wanted finite weights"):
        live_translator(broken)


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("day", "1899-12-31", "wanted a day from 1900-01-01 to 2099-12-31"),
        ("day", "soon", "wanted a day such as 2026-11-23, got 'soon'"),
        ("kind", "wide", "wanted one of fused, none, got 'wide'"),
    ],
)
def test_a_trait_out_of_range_is_refused(trait: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        setattr(viewer(), trait, value)


def test_no_row_gets_shorter_once_it_is_seen(open_html: Open) -> None:
    above = '<div style="height: 3000px"></div>'
    page = open_html(above + viewer().page(), viewport={"width": 390, "height": 844})
    row = page.locator(".viewer-row").first
    before = row.bounding_box()
    page.locator(".lt-stage").scroll_into_view_if_needed()
    page.locator("[data-syllable]").first.wait_for()
    after = row.bounding_box()
    assert before is not None
    assert after is not None
    assert before["height"] == after["height"]
    assert not page.get_by_role("button", name="Write it again").is_visible()
