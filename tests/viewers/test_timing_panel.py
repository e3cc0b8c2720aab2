import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from playwright.sync_api import Page

from cleanformer_lite.timing import Shape
from cleanformer_lite.timing.sweep import Point
from cleanformer_lite.viewers import explore_timings, time_here, timing_panel
from cleanformer_lite.viewers.pacer import Pacer
from cleanformer_lite.viewers.timing_panel import TimingPanel, recorded_beside
from tests.viewers.kernel import Kernel
from tests.viewers.test_timing_explorer import made_up

START = """
from cleanformer_lite.viewers import time_here, timing_panel
timing_panel.SLICE = 0.0  # one block a slice
panel = time_here()
panel.batch.value, panel.length.value, panel.width.value, panel.heads.value = 2, 5, 21, 3
"""


@pytest.fixture
def panel() -> TimingPanel:
    made = time_here()
    made.batch.value, made.length.value, made.width.value, made.heads.value = 2, 5, 21, 3
    return made


@pytest.fixture
def colab() -> Iterator[Kernel]:
    running = Kernel(drop_late=True)
    running.run(START)
    yield running
    running.stop()


class Front:
    """What a front end does: clicks, and for every slice that is done it asks for the next."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.pacer = next(c for c, s in kernel.widgets.items() if "asked" in s)
        self.slices = 0

    def widget(self, description: str) -> str:
        return next(
            comm
            for comm, state in self.kernel.widgets.items()
            if state.get("description") == description
        )

    def state(self, description: str) -> dict[str, Any]:
        return self.kernel.widgets[self.widget(description)]

    def click(self, description: str) -> None:
        self.kernel.tell(self.widget(description), {"event": "click"}, method="custom")

    def follow(self, until: Callable[[], bool]) -> None:
        """Ask for slice after slice, until nothing is done any more or `until` says so."""
        done = -1
        while self.kernel.widgets[self.pacer]["done"] != done and not until():
            done = self.kernel.widgets[self.pacer]["done"]
            self.kernel.tell(self.pacer, {"asked": done})
            self.slices += 1


def test_it_ends_right_where_late_messages_are_dropped(colab: Kernel) -> None:
    front = Front(colab)
    front.click("Run")
    assert front.state("Run")["disabled"]
    front.follow(lambda: False)
    # Four variants, 25 rounds: each block in a request of its own, and one to find that it is over.
    assert front.slices == 101
    assert front.state("rounds")["value"] == 25
    assert not front.state("Run")["disabled"]
    assert front.state("Stop")["disabled"]
    assert colab.widgets[front.pacer]["says"] == "Done, after 25 of 25 rounds."
    shown = [str(state.get("value")) for state in colab.widgets.values()]
    assert any("The loop takes" in text for text in shown)
    assert any("25 rounds; outputs agree" in text for text in shown)


def test_stop_is_heard_between_slices(colab: Kernel) -> None:
    front = Front(colab)
    front.click("Run")
    front.follow(lambda: front.state("rounds")["value"] == 3)
    front.click("Stop")
    front.follow(lambda: False)
    assert front.state("rounds")["value"] == 3
    assert colab.widgets[front.pacer]["says"] == "Stopped, after 3 of 25 rounds."
    assert front.state("Stop")["disabled"]
    assert colab.run("print(panel.found.rounds)") == "3\n"


def test_the_front_end_asks_as_soon_as_a_slice_is_done(open_live: Callable[..., Page]) -> None:
    pacer = Pacer()
    pacer.says = "3 of 25 rounds."
    page = open_live(pacer)
    assert page.locator(".says").inner_text() == "3 of 25 rounds."
    saved: list[Any] = []
    page.expose_function("saved", lambda state: saved.append(json.loads(json.dumps(state))))
    page.evaluate("model.update({ says: '4 of 25 rounds.', done: 7 })")
    page.wait_for_timeout(100)
    assert [state["asked"] for state in saved] == [7]
    assert page.locator(".says").inner_text() == "4 of 25 rounds."


def test_an_old_wish_does_not_start_new_work() -> None:
    pacer, slices = Pacer(), []

    def work() -> bool:
        slices.append(pacer.done)
        return True

    pacer.start(work)
    pacer.asked = 1
    assert slices == [1]
    pacer.stop()
    pacer.asked = 2
    pacer.start(work)
    pacer.asked = 1  # a view of the work before
    assert slices == [1]
    pacer.asked = 3
    assert slices == [1, 3]


def test_run_measures_what_was_chosen(panel: TimingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing_panel, "LIMIT", 600.0)  # a busy machine takes its time
    panel.guess.value = 7.5
    panel.backward.value = True
    panel.start.click()
    assert panel.start.disabled
    assert not panel.halt.disabled
    panel.wait()
    assert panel.found is not None
    assert "forward and backward on (2, 5, 21) float32" in panel.picture.value
    assert list(panel.found.seconds) == ["fused", "split", "looped", "nn.MHA"]
    assert f"{panel.found.ratios('looped').median:.2f} times" in panel.message.value
    assert "you said 7.5" in panel.message.value
    assert panel.progress.value == panel.progress.max == 25
    assert not panel.start.disabled


def test_after_twenty_seconds_it_ends_by_itself(
    panel: TimingPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing_panel, "SLICE", 0.0)
    monkeypatch.setattr(timing_panel, "LIMIT", 0.0)
    panel.run()
    panel.wait()
    assert panel.pacer.says == "0 s were over, after 1 of 25 rounds."
    assert panel.found is not None
    assert panel.found.rounds == 1


def test_torch_has_its_threads_between_slices(
    panel: TimingPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing_panel, "SLICE", 0.0)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        panel.run()
        panel.pacer.work()
        assert torch.get_num_threads() == 3
        for _ in range(3):
            panel.pacer.work()
        assert "1 thread of" in panel.picture.value
    finally:
        panel.stop()
        torch.set_num_threads(before)


def test_sizes_that_do_not_fit_are_said_and_nothing_breaks(panel: TimingPanel) -> None:
    panel.heads.value = 4
    panel.run()
    assert not panel.start.disabled
    assert "an embed_dim that num_heads divides, got" in panel.message.value
    assert "&#x27;embed_dim&#x27;: 21" in panel.message.value  # text, not markup
    panel.heads.value = 7
    panel.run()
    panel.wait()
    assert "The loop takes" in panel.message.value


def test_what_there_is_no_memory_for_is_left_out_and_said(
    panel: TimingPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        timing_panel, "names_that_fit", lambda names, *given: [n for n in names if n != "split"]
    )
    panel.run()
    panel.wait()
    assert panel.found is not None
    assert list(panel.found.seconds) == ["fused", "looped", "nn.MHA"]
    assert "No memory for: split." in panel.message.value


def test_without_a_kernel_the_page_shows_the_recorded_times(panel: TimingPanel) -> None:
    bundle = panel._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0]["text/html"] == explore_timings().page()
    assert bundle[0]["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.box.model_id


def test_beside_it_stands_what_a_gpu_took_or_that_nobody_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = Point(Shape(1, 64, 96, 4), torch.bfloat16)
    monkeypatch.setattr(timing_panel, "find_recording", lambda kind: None)
    assert recorded_beside(recorded).startswith("On a GPU: not meas")
    monkeypatch.setattr(timing_panel, "find_recording", lambda kind: made_up())
    assert recorded_beside(recorded) == (
        "Relative to fused, recorded on a card, CUDA 13.0, TF32 off, torch 2.11, 2026-01-02, "
        "commit abc1234: fused 1.00, looped 4.25."
    )
    assert recorded_beside(Point(Shape(1, 65, 91, 7), backward=True)) == (
        "On a card: not measured at these sizes."
    )


def test_only_the_devices_that_are_here_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert time_here().device.options == ("cpu",)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    shown = time_here()
    assert shown.device.options == ("cuda", "cpu")
    assert shown.dtype.value == "float16"  # as on a T4, which only emulates bfloat16
