"""How numbers are written and where they come from: units, quartiles, and a machine's name."""

import datetime
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Quartiles(NamedTuple):
    """Lower quartile, median and upper quartile of several times, in seconds."""

    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Quartiles":
        """Take the quartiles; a single sample is its own."""
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        return cls(*statistics.quantiles(samples))

    def __str__(self) -> str:
        return f"{in_time(self.median)} ({in_time(self.lower)} to {in_time(self.upper)})"


def in_time(seconds: float) -> str:
    """Write a time with three digits and the unit that suits it."""
    unit, name = next(
        (pair for pair in ((1.0, "s"), (1e-3, "ms")) if seconds >= pair[0]), (1e-6, "us")
    )
    return f"{seconds / unit:.3g} {name}"


def in_bytes(size: float) -> str:
    """Write a size with three digits, in KiB, MiB or GiB."""
    unit, name = next(
        (pair for pair in ((2**30, "GiB"), (2**20, "MiB")) if size >= pair[0]), (2**10, "KiB")
    )
    return f"{size / unit:.3g} {name}"


def name_dtype(dtype: torch.dtype) -> str:
    """Name a dtype without the word torch."""
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where and when something is measured. Whatever does not apply is None."""

    device: str
    driver: str | None
    tf32: bool | None
    threads: int | None
    torch: str
    date: str

    def __str__(self) -> str:
        plural = "" if self.threads == 1 else "s"
        on = self.device if self.threads is None else f"{self.threads} thread{plural} of "
        on += "" if self.threads is None else self.device
        driver = "" if self.driver is None else f", CUDA {self.driver}"
        tf32 = "" if self.tf32 is None else f", TF32 {'on' if self.tf32 else 'off'}"
        return f"{on}{driver}{tf32}, torch {self.torch}, {self.date}"


@dataclass(frozen=True, kw_only=True)
class Setting(Machine):
    """What was measured, and on which machine: without it a time means nothing."""

    dtype: str
    shapes: str
    direction: str

    def __str__(self) -> str:
        return f"{self.direction} on {self.shapes} {self.dtype},\n{super().__str__()}"


def describe_setting(
    inputs: Sequence[Tensor], backward: bool, variants: Iterable[Any] = ()
) -> Setting:
    """Say what is measured, and on what.

    The dtype is that of the first input with fractions; where there is none, of the first weight.

    Raises: ValueError if there is no tensor among the inputs.
    """
    if not inputs:
        raise ValueError("wanted at least one tensor as input, got none")
    x = inputs[0]
    modules = [variant for variant in variants if isinstance(variant, nn.Module)]
    numbers = [*inputs, *(weight for module in modules for weight in module.parameters())]
    dtype = next((one.dtype for one in numbers if one.is_floating_point()), x.dtype)
    return Setting(
        **asdict(this_machine(x.device)),
        dtype=name_dtype(dtype),
        shapes=", ".join(dict.fromkeys(str(tuple(tensor.shape)) for tensor in inputs)),
        direction="forward and backward" if backward else "forward",
    )


def this_machine(device: torch.device) -> Machine:
    """Say where and when the program runs, and in how many CPU threads torch computes now."""
    on_gpu = device.type == "cuda"
    return Machine(
        device=name_device(device),
        driver=torch.version.cuda if on_gpu else None,
        tf32=torch.backends.cuda.matmul.allow_tf32 if on_gpu else None,
        threads=None if on_gpu else torch.get_num_threads(),
        torch=torch.__version__,
        date=datetime.date.today().isoformat(),
    )


def name_device(device: torch.device) -> str:
    """Name the processor or the graphics card; where there are several cards, which one it is."""
    if device.type == "cuda":
        name, count = torch.cuda.get_device_name(device), torch.cuda.device_count()
        used = torch.cuda.current_device() if device.index is None else device.index
        return name if count == 1 else f"{name} (cuda:{used} of {count})"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    known = models and models[0].lower() not in {"", "unknown"}
    return f"{models[0]} CPU" if known else f"{platform.machine()} CPU"
