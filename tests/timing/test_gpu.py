"""The GPU's clock, on a stand-in for CUDA that writes down what it is told; and on CUDA if any."""

import statistics
import subprocess
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cleanformer_lite import FusedMultiHeadAttention, LoopedMultiHeadAttention
from cleanformer_lite.timing import gpu, measure
from cleanformer_lite.timing.gpu import (
    available_backends,
    count_launches,
    describe_card,
    device_seconds,
    usual_dtype,
)
from cleanformer_lite.timing.sweep import names_that_fit
from cleanformer_lite.timing.units import name_device
from cleanformer_lite.timing.variants import Shape

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


@needs_gpu
@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty")
def test_on_a_gpu_an_empty_graph_takes_next_to_nothing() -> None:
    # Else the processor was still enqueuing the graph when the clock started: flush more.
    x = torch.randn(2048, 2048, device="cuda")
    empty = statistics.median(device_seconds(lambda: None, 15))
    product = statistics.median(device_seconds(lambda: x @ x, 15))
    assert empty < product / 3


@needs_gpu
def test_on_a_gpu_copies_and_fills_are_no_launches() -> None:
    x, y = torch.randn(2, 1024, device="cuda")
    assert count_launches(lambda: y.copy_(x)) == 0
    assert count_launches(lambda: x.add_(1.0)) == 1


class Card:
    """A graphics card that is not there, as `torch.cuda` describes it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
        for name, value in facts.items():
            monkeypatch.setattr(torch.cuda, name, lambda *given, value=value, **more: value)


def test_a_t4_trains_in_float16_and_an_a100_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def supported(including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return including_emulation  # as on a T4, which emulates it

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert usual_dtype("cuda") == torch.float16
    assert asked == [False]
    Card(monkeypatch, is_bf16_supported=True)
    assert usual_dtype("cuda") == torch.bfloat16
    assert usual_dtype("cpu") == torch.float32


def test_what_a_card_has_no_memory_for_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape(1, 4096, 1024, 32)  # scores of all heads in float16: 1 GiB, three times
    Card(monkeypatch, mem_get_info=(5 * 2**30, 15 * 2**30), memory_reserved=0, memory_allocated=0)
    names = ["fused", "split", "looped", "nn.MHA, weights"]
    assert names_that_fit(names, shape, 2, "cuda") == names
    Card(monkeypatch, mem_get_info=(3 * 2**30, 15 * 2**30))
    assert names_that_fit(names, shape, 2, "cuda") == ["fused", "looped"]
    # What torch keeps for itself is free as well.
    Card(monkeypatch, memory_reserved=2**30)
    assert names_that_fit(names, shape, 2, "cuda") == names


def test_copies_fills_and_named_spans_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    def event(name: str, device: str = "DeviceType.CUDA", span: bool = False) -> SimpleNamespace:
        return SimpleNamespace(name=name, device_type=device, is_user_annotation=span)

    events = [
        event("Memcpy DtoD (Device -> Device)"), event("Memset (Device)"), event("ampere_sgemm"),
        event("softmax_warp_forward"), event("aten::mm", "DeviceType.CPU"),
        event("a span", span=True),
    ]  # fmt: skip

    @contextmanager
    def profile(activities: object) -> Any:
        yield SimpleNamespace(events=lambda: events)

    monkeypatch.setattr(torch.profiler, "profile", profile)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert count_launches(lambda: None) == 2


def test_of_several_cards_the_one_that_is_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, get_device_name="Tesla T4", device_count=1, current_device=0)
    assert name_device(torch.device("cuda")) == "Tesla T4"
    Card(monkeypatch, device_count=2, current_device=1)
    assert name_device(torch.device("cuda")) == "Tesla T4 (cuda:1 of 2)"
    assert name_device(torch.device("cuda:0")) == "Tesla T4 (cuda:0 of 2)"


def test_a_card_is_described_with_its_clocks_or_without(monkeypatch: pytest.MonkeyPatch) -> None:
    Card(
        monkeypatch, get_device_capability=(7, 5), current_device=0,
        get_device_properties=SimpleNamespace(uuid="1-2"),
    )  # fmt: skip
    monkeypatch.setattr(gpu, "available_backends", lambda device, dtype: ["math"])
    asked: list[list[str]] = []

    def answer(command: list[str], **options: object) -> SimpleNamespace:
        asked.append(command)
        return SimpleNamespace(stdout="585, 5000, 1590, 5001\n")

    monkeypatch.setattr(subprocess, "run", answer)
    assert describe_card("cuda", torch.float16) == {
        "capability": "7.5",
        "clocks": {"clocks.sm": 585, "clocks.mem": 5000, "clocks.max.sm": 1590,
                   "clocks.max.mem": 5001},
        "backends": ["math"],
    }  # fmt: skip
    assert asked[0][-1] == "--id=GPU-1-2"

    def refuse(command: list[str], **options: object) -> SimpleNamespace:
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert describe_card("cuda", torch.float16)["clocks"] is None
    assert describe_card("cpu", torch.float32) == {}


def test_backends_are_those_that_run() -> None:
    # On a CPU there is one fused kernel, and the steps written out.
    assert available_backends("cpu", torch.float32) == ["flash", "math"]
