"""Measure one call: how long it takes, how much of that is launching, and what memory it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cleanformer_lite.threads import one_thread
from cleanformer_lite.timing.calls import (
    Inputs,
    as_inputs,
    heap_for,
    make_call,
    make_timer,
    warm_up,
)
from cleanformer_lite.timing.counts import OperatorCount, count_operators, name_kernel, peak_memory
from cleanformer_lite.timing.gpu import count_launches, replayed
from cleanformer_lite.timing.pictures import draw_bars
from cleanformer_lite.timing.units import Quartiles, Setting, describe_setting, in_bytes, in_time

FEWEST = 15  # replays of a CUDA graph


@dataclass(frozen=True)
class Measurement:
    """What one call costs on one machine.

    `wall` is the time from asking to having the result. `device` is what the GPU alone works, and
    `launches` how many kernels that takes: both None on a CPU, and where a call cannot be recorded.
    Times are in seconds, memory is in bytes.
    """

    wall: Quartiles
    device: Quartiles | None
    launches: int | None
    samples: int
    operators: OperatorCount
    peak_memory: int
    kernel: str
    setting: Setting

    @property
    def launch_share(self) -> float | None:
        """Return the share of the time in which the GPU waits for launches, 0 to 1; None on a CPU.

        Another run of the same call may be faster than this one: the share never falls below 0.
        """
        if self.device is None:
            return None
        return max(0.0, 1.0 - self.device.median / self.wall.median)

    def counted(self) -> dict[str, str]:
        """Return what was counted rather than timed, by its name."""
        counts = {
            "operators": f"{self.operators.compute}, attention: {self.kernel}",
            "memory": f"{in_bytes(self.peak_memory)} at most",
        }
        if self.launches is not None:
            counts = {"launches": str(self.launches), **counts}
        if self.launch_share is not None:
            counts = {"launching": f"{self.launch_share:.0%} of the time", **counts}
        return counts

    def __str__(self) -> str:
        lines = {"time": f"{self.wall}, {self.samples} samples"}
        if self.device is not None:
            lines["GPU alone"] = f"{self.device}, L2 cache emptied before each"
        written = [f"{name:9}  {text}" for name, text in {**lines, **self.counted()}.items()]
        return "\n".join([*written, str(self.setting)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """Draw the times as bars on one scale, with what was counted below them."""
        times = {"time": self.wall, "GPU alone": self.device}
        bars = {
            name: (time, (in_time(time.median), f"{in_time(time.lower)} to {in_time(time.upper)}"))
            for name, time in times.items()
            if time is not None
        }
        counts = "; ".join(f"{name}: {text}" for name, text in self.counted().items())
        birth = f"{counts}.\n{self.samples} samples, {self.setting}"
        return draw_bars(bars, ("median time", "quartiles"), birth)


def measure(
    variant: Callable[..., Any],
    inputs: Inputs,
    *,
    backward: bool = False,
    seconds: float = 1.0,
) -> Measurement:
    """Measure the call `variant(*inputs)`, in inference mode or, with `backward`, with gradients.

    On a CPU: one thread, and `torch.utils.benchmark` goes on until its samples agree, or `seconds`
    are over. On a GPU it is waited for at both ends, and the call is replayed as a CUDA graph.

    Units: seconds, bytes.

    Raises: ValueError for no input, a time that is not above 0, or if gradients are wanted and the
        output carries none.
    """
    if seconds <= 0:
        raise ValueError(f"wanted seconds above 0, got {seconds}")
    given = as_inputs(inputs)
    with one_thread():
        setting = describe_setting(given, backward, [variant])
        call = make_call(variant, given, backward)
        timer = make_timer(call)
        with heap_for(given):
            warm_up(timer)
            found = timer.adaptive_autorange(
                min_run_time=seconds / 10, max_run_time=seconds, threshold=0.03
            )
        on_gpu = given[0].device.type == "cuda"
        device = replayed(call, max(FEWEST, len(found.times))) if on_gpu else None
        return Measurement(
            wall=Quartiles.of(found.times),
            device=None if device is None else Quartiles.of(device),
            launches=count_launches(call) if on_gpu else None,
            samples=len(found.times),
            operators=count_operators(variant, given, backward=backward),
            peak_memory=peak_memory(variant, given, backward=backward),
            kernel=name_kernel(variant, given),
            setting=setting,
        )
