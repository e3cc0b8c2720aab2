import subprocess
import sys

import pytest
import torch
from torch import nn

from cleanformer_lite import SplitMultiHeadAttention
from cleanformer_lite.timing import Measurement, OperatorCount, measure
from cleanformer_lite.timing.calls import heap_for
from cleanformer_lite.timing.units import Quartiles, Setting, in_bytes, in_time
from tests.timing.test_compare import waiting

X = torch.randn(2, 3, 10)


def test_a_call_that_waits_takes_at_least_as_long() -> None:
    found = measure(waiting(2e-3)(), [X], seconds=0.05)
    assert found.wall.lower >= 2e-3
    assert found.samples >= 1


def test_counts_come_from_the_same_call() -> None:
    module = SplitMultiHeadAttention(10, 5)
    forward = measure(module, [X], seconds=0.01)
    both = measure(module, [X], backward=True, seconds=0.01)
    assert forward.operators.compute == 12
    assert both.operators.compute == 33
    assert forward.kernel == "written out"
    # Four gradients of 10 x 10 weights and 10 biases are alive at the end.
    assert both.peak_memory > max(forward.peak_memory, 4 * 110 * 4)
    assert both.setting.direction == "forward and backward"


def test_on_a_cpu_nothing_is_said_of_a_gpu() -> None:
    found = measure(nn.Identity(), [X], seconds=0.01)
    assert (found.device, found.launches, found.launch_share) == (None, None, None)
    assert "GPU" not in str(found)
    for fact in ("(2, 3, 10)", "float32", "1 thread of", f"torch {torch.__version__}"):
        assert fact in str(found)


SETTING = Setting(
    device="card", driver="13.0", tf32=False, threads=None, torch="2.11", date="2026-01-01",
    dtype="bfloat16", shapes="(1,)", direction="forward",
)  # fmt: skip


def on_gpu(wall: float, device: float) -> Measurement:
    def spread(time: float) -> Quartiles:
        return Quartiles(0.9 * time, time, 1.1 * time)

    count = OperatorCount(3, 7)
    return Measurement(spread(wall), spread(device), 5, 9, count, 2**21, "flash", SETTING)


def test_the_share_of_launching_is_what_the_gpu_does_not_work() -> None:
    assert on_gpu(wall=8e-4, device=2e-4).launch_share == pytest.approx(0.75)
    assert on_gpu(wall=2e-4, device=3e-4).launch_share == 0.0
    text = str(on_gpu(wall=8e-4, device=2e-4))
    for line in (
        "time       800 us (720 us to 880 us), 9 samples",
        "GPU alone  200 us (180 us to 220 us)",
        "launching  75% of the time",
        "launches   5",
        "memory     2 MiB",
        "card, CUDA 13.0, TF32 off, torch 2.11",
    ):
        assert line in text


def test_a_call_that_cannot_be_recorded_as_a_graph_has_no_device_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    # The package's name "measure" is the function; its module is found by its whole name.
    measuring = sys.modules["cleanformer_lite.timing.gpu"]
    monkeypatch.setattr(measuring, "device_seconds", refuse)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert measuring.replayed(list, 3) is None


def test_bad_calls_say_what_was_wanted() -> None:
    with pytest.raises(ValueError, match="wanted seconds above 0, got 0"):
        measure(nn.Identity(), [X], seconds=0)
    with pytest.raises(ValueError, match="wanted at least one tensor as input, got none"):
        measure(nn.Identity(), [])
    with pytest.raises(ValueError, match="wanted an output that carries a gradient"):
        measure(nn.Identity(), [X], backward=True)


def test_the_dtype_of_tokens_is_that_of_the_weights() -> None:
    found = measure(nn.Embedding(7, 3, dtype=torch.float64), [torch.tensor([2, 5])], seconds=0.01)
    assert found.setting.dtype == "float64"


def test_quartiles_of_eleven_numbers() -> None:
    # By hand: a quarter of the numbers 1 to 11 lies below 3, half below 6, three quarters below 9.
    assert Quartiles.of(list(range(1, 12))) == (3, 6, 9)
    assert Quartiles.of([5.0]) == (5.0, 5.0, 5.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5e-7, "0.25 us"), (4.2e-5, "42 us"), (0.0123, "12.3 ms"), (3, "3 s")]
)
def test_times_are_written_with_their_unit(seconds: float, text: str) -> None:
    assert in_time(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(512, "0.5 KiB"), (3 * 2**20, "3 MiB"), (5 * 2**30, "5 GiB")]
)
def test_sizes_are_written_with_their_unit(size: float, text: str) -> None:
    assert in_bytes(size) == text


FAULTS = """
import resource, torch
from cleanformer_lite.timing.calls import kept_heap

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)  # 64 MiB, 16,384 pages of 4 KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

outside = faults()
with kept_heap() as kept:
    torch.ones(2**24)
    inside = faults()
print(kept, outside, inside, faults())
"""


def test_a_kept_heap_does_not_fault_its_pages_in_again() -> None:
    # In a process of its own: what is left on a heap depends on all that went before.
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    kept, *counts = done.stdout.split()
    if kept != "True":
        pytest.skip("this C library has no switch for it")
    outside, inside, afterwards = map(int, counts)
    # Where the heap has to grow, pages come anew; once it has grown, they stay.
    assert inside < outside / 3
    assert min(outside, afterwards) > 9 * 16384


def test_the_heap_is_kept_on_a_cpu_only() -> None:
    with heap_for([torch.zeros(2, 3)]) as kept:
        assert kept in (True, False)
    with heap_for(torch.zeros(2, 3, device="meta")) as kept:
        assert kept is None
