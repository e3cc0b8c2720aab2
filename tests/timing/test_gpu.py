"""The GPU's clock, on a stand-in for CUDA that writes down what it is told; and on CUDA if any."""

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cleanformer_lite import FusedMultiHeadAttention, LoopedMultiHeadAttention
from cleanformer_lite.timing import measure
from cleanformer_lite.timing.gpu import device_seconds

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


class Told(list[str]):
    """What CUDA was told, in order; its clock stands at 4 ms more at each event."""

    milliseconds = 0.0

    def tick(self) -> float:
        self.milliseconds += 4.0
        return self.milliseconds


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    log = Told()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            log.append("event")
            self.at = log.tick()

        def elapsed_time(self, end: "Event") -> float:
            return end.at - self.at

    class Stream:
        def wait_stream(self, other: Any) -> None:
            log.append("wait")

    @contextmanager
    def within(name: str) -> Any:
        log.append(f"begin {name}")
        yield
        log.append(f"end {name}")

    for name, stand_in in {
        "Event": Event,
        "Stream": Stream,
        "current_stream": Stream,
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: log.append("replay")),
        "graph": lambda graph: within("recording"),
        "stream": lambda stream: within("stream"),
        "synchronize": lambda: log.append("synchronize"),
        "current_device": lambda: 0,
        "get_device_properties": lambda device: SimpleNamespace(L2_cache_size=50),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)

    def empty(size: int, **options: Any) -> Any:
        return SimpleNamespace(zero_=lambda: log.append(f"overwrite {size}"))

    monkeypatch.setattr(torch, "empty", empty)
    return log


def test_each_replay_starts_on_a_cold_cache_and_is_waited_for(told: Told) -> None:
    seconds = device_seconds(lambda: told.append("call"), samples=2)
    once = ["overwrite 268435456", "event", "replay", "event", "synchronize"]
    assert told == [
        "wait", "begin stream", "call", "call", "call", "end stream", "wait",
        "begin recording", "call", "end recording", *once, *once,
    ]  # fmt: skip
    assert seconds == pytest.approx([0.004, 0.004])


@needs_gpu
def test_on_a_gpu_the_loop_launches_more_and_waits_more() -> None:
    x = torch.randn(1, 16, 64, device="cuda")
    loop = measure(LoopedMultiHeadAttention(64, 8).cuda(), [x], seconds=0.2)
    fused = measure(FusedMultiHeadAttention(64, 8).cuda(), [x], seconds=0.2)
    assert loop.launches is not None
    assert fused.launches is not None
    assert loop.launches > 2 * fused.launches
    assert loop.device is not None
    assert loop.device.median > 0
    assert loop.launch_share is not None
    assert 0 <= loop.launch_share < 1


@needs_gpu
def test_on_a_gpu_gradients_are_replayed_as_well() -> None:
    x = torch.randn(1, 16, 64, device="cuda")
    found = measure(FusedMultiHeadAttention(64, 8).cuda(), [x], backward=True, seconds=0.2)
    assert found.device is not None
