from collections.abc import Callable
from dataclasses import replace
from math import log
from pathlib import Path

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
    keys += ["Tab", *["ArrowRight"] * 9]  # the prediction, 0.5 to 5
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
        ["fused", "1.00", "6.14 ms", "3", "8 MiB", "2"],
        ["looped", "8.50", "52.2 ms", "58", "8 MiB", "17"],
    ]


def points(page: Page, name: str) -> list[tuple[float, float]]:
    text = page.locator(f".time-line[data-name='{name}']").get_attribute("points") or ""
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def test_equal_ratios_are_equal_heights_on_one_scale_for_all(open_page: Open) -> None:
    page = open_page(explore_timings(made_up()))
    assert page.locator(".time-line").count() == 1  # the loop waits for the guess
    assert page.get_by_role("button", name="Reveal").is_disabled()
    page.get_by_role("button", name="Just show me").click()
    assert "You said" not in page.locator(".says").inner_text()
    fused, looped = points(page, "fused"), points(page, "looped")
    # 1, 4 and 8 heads: fused takes 64, 256 and 512 us, the loop 1.25, 4.25 and 8.25 times that.
    fourfold = fused[0][1] - fused[1][1]
    assert fused[1][1] - fused[2][1] == pytest.approx(fourfold / 2, abs=0.5)
    for (_, ours), (_, theirs), ratio in zip(looped, fused, (1.25, 4.25, 8.25), strict=True):
        assert theirs - ours == pytest.approx(fourfold * log(ratio, 4), abs=0.5)
    page.get_by_label("Length").fill("1")  # 256: four times as long, on the same scale
    assert points(page, "fused")[0][1] == pytest.approx(fused[0][1] - fourfold, abs=0.5)
    floor = page.locator(".floor").get_attribute("y")
    # At 4 heads the floor was set to half of fused: 512 us.
    assert float(floor or 0) == pytest.approx(points(page, "fused")[1][1] + fourfold / 2, abs=0.5)


@pytest.mark.parametrize("mount", ["open_page", "open_live"])
def test_the_ring_is_dragged_to_a_guess(mount: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(mount)(explore_timings(made_up()))
    ring = page.locator(".guess").bounding_box()
    assert ring is not None
    x, y = ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    assert page.get_by_label("The loop takes").input_value() == "1"
    (_, four), (right, eight) = points(page, "fused")[1:]
    box = page.locator(".chart").bounding_box()
    assert box is not None
    # To 8 heads, and up from there as far as twice a doubling: 4 times.
    page.mouse.move(box["x"] + right, box["y"] + eight - 2 * (four - eight), steps=4)
    page.mouse.up()
    assert page.get_by_label("The loop takes").input_value() == "4"
    assert page.locator(".says").inner_text().startswith("8 heads, length 64, forward.")
    page.get_by_role("button", name="Reveal").click()
    assert page.locator(".says").inner_text().endswith("You said 4.00 times.")


def test_without_a_script_it_is_a_table_with_its_birth() -> None:
    text = explore_timings(made_up()).static()
    for part in ("<td>4.25</td>", "<td>not measured</td>", "256, 8", "recorded on a card"):
        assert part.lower() in text.lower()


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
