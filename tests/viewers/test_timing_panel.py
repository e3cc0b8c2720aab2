from collections.abc import Iterator

import pytest
import torch

from cleanformer_lite.timing import Shape
from cleanformer_lite.timing.sweep import Point
from cleanformer_lite.viewers import explore_timings, time_here, timing_panel
from cleanformer_lite.viewers.timing_panel import TimingPanel, recorded_beside
from tests.viewers.test_timing_explorer import made_up


@pytest.fixture
def panel() -> Iterator[TimingPanel]:
    made = time_here()
    made.batch.value, made.length.value, made.width.value, made.heads.value = 2, 5, 21, 3
    yield made
    made.stop()
    made.wait()


def test_run_measures_what_was_chosen(panel: TimingPanel) -> None:
    panel.guess.value = 7.5
    panel.backward.value = True
    panel.start.click()
    assert panel.start.disabled
    assert not panel.halt.disabled
    panel.wait()
    assert panel.found is not None
    assert "forward and backward on (2, 5, 21) float32" in panel.message.value
    assert list(panel.found.seconds) == ["fused", "split", "looped", "nn.MHA"]
    assert f"{panel.found.ratios('looped').median:.2f} times" in panel.message.value
    assert "you said 7.5" in panel.message.value
    assert panel.progress.value == panel.progress.max == 25
    assert bytes(panel.picture.value).startswith(b"\x89PNG")
    assert not panel.start.disabled


def test_stop_keeps_what_was_measured(panel: TimingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing_panel, "EVERY", 1)
    panel.progress.observe(lambda change: panel.halt.click() if change.new == 4 else None, "value")
    panel.run()
    panel.wait()
    assert panel.found is not None
    assert {len(times) for times in panel.found.seconds.values()} == {4}
    assert panel.halt.disabled


def test_sizes_that_do_not_fit_are_said_and_nothing_breaks(panel: TimingPanel) -> None:
    panel.heads.value = 4
    panel.run()
    panel.wait()
    assert "an embed_dim that num_heads divides, got" in panel.message.value
    assert "&#x27;embed_dim&#x27;: 21" in panel.message.value  # text, not markup
    panel.heads.value = 7
    panel.run()
    panel.wait()
    assert "The loop takes" in panel.message.value


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
        "Times fused, recorded on a card, CUDA 13.0, TF32 off, torch 2.11, 2026-01-02, "
        "commit abc1234: fused 1.00, looped 4.25."
    )
    assert recorded_beside(Point(Shape(1, 65, 91, 7), backward=True)) == (
        "On a card: not measured at these sizes."
    )


def test_only_the_devices_that_are_here_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert time_here().device.options == ("cpu",)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert time_here().device.options == ("cuda", "cpu")
