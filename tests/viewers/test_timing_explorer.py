from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from cleanformer_lite.timing import Rates
from cleanformer_lite.timing.recordings import Birth, Recording
from cleanformer_lite.timing.sweep import Row
from cleanformer_lite.timing.units import Quartiles
from cleanformer_lite.viewers import timing_explorer
from cleanformer_lite.viewers.timing_explorer import explore_timings

Open = Callable[..., Page]
BIRTH = Birth(
    device="a card", driver="13.0", tf32=False, threads=None, torch="2.11", date="2026-01-02",
    kind="cuda", commit="abc1234", command="a command",
)  # fmt: skip


def made_up() -> Recording:
    """Make numbers that say whose they are: heads x length x 1 us, the loop h + 0.25 times."""
    rows = []
    for length in (64, 256, 1024):
        for heads in (1, 4, 8):
            for backward in (False, True):
                usual = 1e-6 * heads * length * (3 if backward else 1)
                fused = Row(
                    "fused", 1, length, 96, heads, "bfloat16", backward,
                    Quartiles(0.9 * usual, usual, 1.1 * usual), Quartiles(1.0, 1.0, 1.0), 25, 3,
                    "flash", 2**20 * heads, usual / 2, None, None, None,
                )  # fmt: skip
                ratio = heads + (0.5 if backward else 0.25)
                looped = replace(
                    fused, variant="looped", operators=7 * heads + 2,
                    time=Quartiles(ratio * usual, ratio * usual, ratio * usual),
                    ratio=Quartiles(ratio - 0.2, ratio, ratio + 0.1),
                )  # fmt: skip
                rows += [fused, looped]
    other = replace(rows[0], batch=16)
    return Recording(BIRTH, {"bfloat16": Rates(1.0, 1.0, 1.0)}, [*rows, other])


def by_mouse(page: Page) -> None:
    page.get_by_label("Heads").fill("2")
    page.get_by_label("Length").fill("1")
    page.get_by_label("forward and backward").check()
    page.get_by_label("The loop takes").fill("5")
    page.get_by_role("button", name="Reveal").click()


def by_keyboard(page: Page) -> None:
    keys = ["Tab", "ArrowRight"]  # heads, 4 to 8
    keys += ["Tab", "ArrowRight"]  # length, 64 to 256
    keys += ["Tab", "ArrowRight"]  # direction
    keys += ["Tab", *["ArrowRight"] * 8]  # the prediction, 1 to 5
    keys += ["Tab", "Enter"]  # reveal
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.parametrize("mount", ["open_page", "open_live"])
@pytest.mark.parametrize("act", [by_mouse, by_keyboard])
def test_pick_predict_and_reveal(
    mount: str, act: Callable[[Page], None], request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(mount)(explore_timings(made_up()))
    assert page.locator(".wide").is_hidden()
    act(page)
    assert page.locator(".says").inner_text() == (
        "8 heads, length 256, forward and backward: the loop takes 8.50 times the fused module's "
        "time (8.3 to 8.6). You said 5.00 times."
    )
    cells = [row.locator("th, td").all_inner_texts() for row in page.locator("tbody tr").all()
             if row.is_visible()]  # fmt: skip
    # 8 heads x 256 x 3 us = 6.144 ms, and 8.5 times that; the floor was set to half.
    assert cells == [
        ["fused", "", "1.00", "6.14 ms", "3", "8 MiB", "2"],
        ["looped", "", "8.50", "52.2 ms", "58", "8 MiB", "17"],
    ]


def test_a_bar_is_as_long_as_its_ratio(open_page: Open) -> None:
    page = open_page(explore_timings(made_up()))
    page.get_by_role("button", name="Reveal").click()
    widths: list[float] = page.locator(".bar").evaluate_all(
        "bars => bars.map(b => b.getBoundingClientRect().width)"
    )
    assert widths[1] / widths[0] == pytest.approx(4.25, rel=0.01)  # 4 heads, forward
    whisker: Any = (
        page.locator(".whisker")
        .nth(1)
        .evaluate("e => [e.offsetLeft, e.offsetWidth, e.parentElement.offsetWidth]")
    )
    start, length, whole = whisker
    assert start / whole == pytest.approx(4.05 / 4.35, abs=0.02)
    assert length / whole == pytest.approx(0.3 / 4.35, abs=0.02)


def test_without_a_script_it_is_a_table_with_its_birth() -> None:
    text = explore_timings(made_up()).static()
    for part in ("<td>4.25</td>", "<td>not measured</td>", "256, 8", "recorded on a card"):
        assert part.lower() in text.lower()


def test_a_cpu_recording_says_that_there_is_none_from_a_gpu() -> None:
    cpu = replace(made_up(), birth=replace(BIRTH, kind="cpu", threads=1, driver=None))
    assert "From a GPU: not measured." in explore_timings(cpu).source
    assert "not measured" not in explore_timings(made_up()).source


def test_what_was_not_recorded_cannot_be_picked() -> None:
    viewer = explore_timings(made_up())
    with pytest.raises(ValueError, match=r"wanted one of the recorded \[1, 4, 8\], got 3"):
        viewer.head_count = 3
    with pytest.raises(ValueError, match=r"recorded \[64, 256, 1024\], got 65"):
        viewer.length = 65


def test_without_any_recording_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(timing_explorer, "find_recording", lambda kind: None)
    with pytest.raises(ValueError, match="Not measured: there is no recording"):
        explore_timings()
