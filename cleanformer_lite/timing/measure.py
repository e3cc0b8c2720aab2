"""Measure one call: how long it takes, how much of that is launching, and what memory it needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.timing.calls import make_call, make_timer, warm_up
from cleanformer_lite.timing.device_time import count_launches, device_seconds
from cleanformer_lite.timing.kept_heap import heap_for
from cleanformer_lite.timing.memory import peak_memory
from cleanformer_lite.timing.operators import OperatorCount, count_operators, name_kernel
from cleanformer_lite.timing.quartiles import Quartiles, in_bytes
from cleanformer_lite.timing.setting import Setting, describe_setting

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

    def __str__(self) -> str:
        lines = [f"time       {self.wall}, {self.samples} samples"]
        if self.device is not None:
            lines.append(f"GPU alone  {self.device}, L2 cache emptied before each")
            lines.append(f"launching  {self.launch_share:.0%} of the time")
        if self.launches is not None:
            lines.append(f"launches   {self.launches}")
        lines.append(f"operators  {self.operators.compute}, attention: {self.kernel}")
        lines.append(f"memory     {in_bytes(self.peak_memory)} at most")
        return "\n".join([*lines, str(self.setting)])

    def __repr__(self) -> str:
        return str(self)  # so that a notebook shows it


def measure(
    variant: Callable[..., Any],
    inputs: Sequence[Tensor],
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
    setting = describe_setting(inputs, backward, [variant])
    call = make_call(variant, inputs, backward)
    timer = make_timer(call)
    with heap_for(inputs):
        warm_up(timer)
        found = timer.adaptive_autorange(
            min_run_time=seconds / 10, max_run_time=seconds, threshold=0.03
        )
    on_gpu = inputs[0].device.type == "cuda"
    device = replayed(call, max(FEWEST, len(found.times))) if on_gpu else None
    return Measurement(
        wall=Quartiles.of(found.times),
        device=None if device is None else Quartiles.of(device),
        launches=count_launches(call) if on_gpu else None,
        samples=len(found.times),
        operators=count_operators(variant, inputs, backward=backward),
        peak_memory=peak_memory(variant, inputs, backward=backward),
        kernel=name_kernel(variant, inputs),
        setting=setting,
    )


def replayed(call: Callable[[], None], samples: int) -> list[float] | None:
    """Return the device's own times, or None for a call that CUDA cannot record as a graph."""
    try:
        return device_seconds(call, samples)
    except RuntimeError:
        torch.cuda.synchronize()
        return None
