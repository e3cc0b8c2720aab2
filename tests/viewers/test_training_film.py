import base64
import json
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
import torch
from playwright.sync_api import Page

from cleanformer_lite import LoopedMultiHeadAttention
from cleanformer_lite.copy_back import copy_back_batch, train_copy_back
from cleanformer_lite.viewers.training_film import watch_training
from tests.viewers.conftest import BOTH

Open = Callable[..., Page]
in_both = pytest.mark.parametrize("browser", BOTH, indirect=True)
ORDER = [
    (name, residual)
    for residual in (True, False)
    for name in ("built in forward", "plain list", "ModuleList")
]


def recorded() -> dict[str, Any]:
    text = files("cleanformer_lite").joinpath("recordings/films.json").read_text(encoding="utf8")
    found: dict[str, Any] = json.loads(text)
    return found


def run_of(name: str, residual: bool = True, film: str = "registration_bug") -> dict[str, Any]:
    runs = recorded()["films"][film]["runs"]
    [run] = [run for run in runs if (run["name"], run["residual"]) == (name, residual)]
    return dict(run)


def shares(written: str) -> torch.Tensor:
    """Decode one head's map another way than the viewer: by base64's own six bits."""
    bits = "".join(f"{byte:08b}" for byte in base64.b64decode(written + "AAA"))
    numbers = [int(bits[at : at + 6], 2) / 63 for at in range(0, 6 * 45, 6)]
    rows, columns = torch.tril_indices(9, 9)
    found = torch.zeros(9, 9)
    found[rows, columns] = torch.tensor(numbers)
    return found


def test_the_record_is_what_training_gives() -> None:
    # The first steps only: over many, another processor's rounding may lead elsewhere.
    model, losses = train_copy_back(lambda: LoopedMultiHeadAttention(32, 4), 32, steps=10)
    run = run_of("ModuleList")
    assert run["losses"][:2] == pytest.approx([losses[0], sum(losses) / 10], abs=0.01)
    letters, _ = copy_back_batch(1, 9, (3,), torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = model.letter(letters) + model.position.weight
        weights = model.attention(x, is_causal=True, need_weights=True)[1][0]
    for head in range(4):
        assert torch.allclose(shares(run["maps"][1][head]), weights[head], atol=0.02)


def test_the_record_says_where_it_comes_from() -> None:
    for fact in ("what", "device", "dtype", "torch", "date", "command", "seed", "steps", "every"):
        assert str(recorded()[fact])


def test_the_films_show_what_the_chapters_say() -> None:
    plain, built = run_of("plain list"), run_of("built in forward")
    assert set(plain["moved"]["heads"]) == {0.0}
    assert plain["moved"]["embeddings"][-1] > 3 * run_of("ModuleList")["moved"]["embeddings"][-1]
    assert built["moved"]["heads"] == [None] * 26
    assert plain["losses"][-1] < 0.01 < 1.5 < built["losses"][-1]
    # Two heads part; the single one shares out unequally.
    two = [shares(m) for m in run_of("two heads of 16", film="looped_heads")["maps"][-1]]
    one = shares(run_of("one head of 32", film="looped_heads")["maps"][-1][0])
    back = [[m.diagonal(-k)[3 - k :].mean().item() for k in (1, 3)] for m in (*two, one)]
    assert sorted(pair.index(max(pair)) for pair in back[:2]) == [0, 1]
    assert min(max(pair) for pair in back[:2]) > 0.9
    assert abs(back[2][0] - back[2][1]) > 0.1 < min(back[2])


def drag(page: Page, at: int, *points: tuple[float, float]) -> None:
    """Draw in a panel, by parts of its width and height."""
    box = page.locator("svg.panel").nth(at).bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def by_mouse(page: Page, at: int, *, falls: bool) -> None:
    end = (0.3, 0.97) if falls else (0.9, 0.2)
    drag(page, at, (0.02, 0.2), end, (end[0] + 0.05, end[1]))


def by_keyboard(page: Page, at: int, *, falls: bool) -> None:
    page.locator(".end input").nth(at).focus()
    # From 2.1, where guessing is, to 2.2 and back, or down to nothing.
    for key in ["Home"] if falls else ["ArrowRight", "ArrowLeft"]:
        page.keyboard.press(key)


@in_both
@pytest.mark.parametrize("act", [by_mouse, by_keyboard])
def test_all_curves_are_drawn_then_held_against_the_record(
    open_page: Open, open_live: Open, act: Any
) -> None:
    last = [run["losses"][-1] for run in recorded()["films"]["registration_bug"]["runs"]]
    for opened in (open_page, open_live):
        page = opened(watch_training())
        assert page.locator(".curve").first.get_attribute("points") == ""
        assert not page.locator(".film").first.is_visible()
        reveal = page.get_by_role("button", name="Show how they went")
        for at in range(6):
            assert reveal.is_disabled()
            assert page.locator(".end output").nth(at).inner_text() == "not drawn"
            act(page, at, falls=at == 1)
            assert page.locator(".says").inner_text().startswith(f"{at + 1} of 6 curves drawn.")
        assert "your curve ends at 0.0" in str(
            page.locator("svg.panel").nth(1).get_attribute("aria-label")
        )
        reveal.click()
        ends = [2.05, 0.05, *4 * [2.05]]
        close = sum(abs(end - loss) < 0.3 for end, loss in zip(ends, last, strict=True))
        assert page.locator(".says").inner_text() == (
            f"You drew 6 of 6 curves; {close} end within 0.3 of where the loss did. Step 0 of 250."
        )
        assert len(str(page.locator(".curve").first.get_attribute("points")).split()) == 26


def test_a_finger_draws_too(open_page: Open) -> None:
    page = open_page(watch_training(), viewport={"width": 390, "height": 900}, has_touch=True)
    page.locator("svg.panel").nth(2).tap()
    assert page.locator(".says").inner_text().startswith("1 of 6 curves drawn.")


@in_both
@pytest.mark.parametrize("frame", [2, 25])
def test_a_frame_shows_the_numbers_of_its_step(
    open_page: Open, open_live: Open, frame: int
) -> None:
    for opened in (open_page, open_live):
        page = opened(watch_training(ask=False))
        page.get_by_label("Step").focus()
        for key in ["End"] if frame == 25 else ["ArrowRight"] * frame:
            page.keyboard.press(key)
        films = page.locator(".film:visible")
        assert films.count() == 3
        for at, name in enumerate(("built in forward", "plain list", "ModuleList")):
            run = run_of(name)
            text = films.nth(at).inner_text()
            assert f"loss {run['losses'][frame]:.2f}" in text
            moved = run["moved"]["heads"][frame]
            assert ("none kept" if moved is None else f"{moved:.2f}") in text
            assert f"{run['moved']['embeddings'][frame]:.2f}" in text
            for head in range(4):
                exact = shares(run["maps"][frame][head])
                means = {
                    back: sum(exact[i, i - back].item() for i in range(max(3, back), 9)) / 6
                    for back in range(9)
                }
                most = max(means, key=lambda back: means[back])
                said = str(films.nth(at).locator("svg").nth(head).get_attribute("aria-label"))
                first = re.match(r".*head \d: (itself|\d back) (\d+) %", said)
                assert first
                back = 0 if first[1] == "itself" else int(first[1].split()[0])
                assert means[back] == pytest.approx(
                    means[most], abs=1e-6
                )  # two may be as far ahead
                assert int(first[2]) == pytest.approx(100 * means[most], abs=0.51)
        cell = films.nth(2).locator("svg").nth(1).locator("rect").nth(40)
        share = shares(run_of("ModuleList")["maps"][frame][1])[8, 4].item()
        assert float(str(cell.evaluate("e => e.style.getPropertyValue('--share')"))) == (
            pytest.approx(share, abs=0.006)
        )


@pytest.mark.parametrize("width", [1000, 390])
def test_the_maps_of_one_training_stand_side_by_side(open_page: Open, width: int) -> None:
    page = open_page(watch_training(ask=False), viewport={"width": width, "height": 900})
    maps = page.locator(".film").first.locator("svg").all()
    boxes = [found.bounding_box() for found in maps]
    assert len({box["y"] for box in boxes if box}) == 1
    assert min(box["width"] for box in boxes if box) > 60


def test_the_other_group_is_a_click_away(open_page: Open) -> None:
    page = open_page(watch_training(ask=False))
    page.get_by_role("radio", name="no residual").check()
    text = page.locator(".film:visible").first.inner_text()
    assert f"loss {run_of('built in forward', residual=False)['losses'][0]:.2f}" in text


@in_both
def test_it_plays_to_its_end_and_pauses(open_page: Open) -> None:
    viewer = watch_training("looped_heads", ask=False)
    viewer.frame = 23
    page = open_page(viewer)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.says').textContent.includes('Step 250')")
    assert page.get_by_role("button", name="Play").is_visible()
    page.get_by_role("button", name="Play").click()  # from the beginning
    page.wait_for_function("document.querySelector('.viewer').viewerModel.get('frame') === 1")
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_role("button", name="Play").is_visible()


def test_a_page_is_told_what_the_reader_drew(open_page: Open) -> None:
    page = open_page(watch_training("looped_heads"))
    page.evaluate("document.addEventListener('predicted', (event) => (window.told = event.detail))")
    page.get_by_role("button", name="Just show me").click()
    assert page.evaluate("told") == "You drew none."


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wanted one of \['looped_heads', 'registration_bug'\]"):
        watch_training("split_heads")
    viewer = watch_training()
    with pytest.raises(ValueError, match="wanted a frame from 0 to 25, got 26"):
        viewer.frame = 26
    with pytest.raises(ValueError, match="wanted one of"):
        viewer.group = "both"
    with pytest.raises(ValueError, match="wanted 6 curves of 26 losses"):
        viewer.drawn = [[1.0]] * 6
    with pytest.raises(ValueError, match="finite"):
        viewer.drawn = [[float("nan")] * 26, *[[]] * 5]
