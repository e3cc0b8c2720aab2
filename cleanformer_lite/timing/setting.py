"""What a number was measured on: without it a time means nothing."""

import datetime
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


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
        on = self.device if self.threads is None else f"{self.threads} thread of {self.device}"
        driver = "" if self.driver is None else f", CUDA {self.driver}"
        tf32 = "" if self.tf32 is None else f", TF32 {'on' if self.tf32 else 'off'}"
        return f"{on}{driver}{tf32}, torch {self.torch}, {self.date}"


@dataclass(frozen=True, kw_only=True)
class Setting(Machine):
    """The birth certificate of a measurement: the machine, and what was called on it."""

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
    """Say where and when the program runs; on a CPU everything is timed with one thread."""
    on_gpu = device.type == "cuda"
    return Machine(
        device=name_device(device),
        driver=torch.version.cuda if on_gpu else None,
        tf32=torch.backends.cuda.matmul.allow_tf32 if on_gpu else None,
        threads=None if on_gpu else 1,
        torch=torch.__version__,
        date=datetime.date.today().isoformat(),
    )


def name_device(device: torch.device) -> str:
    """Name the graphics card or the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    known = models and models[0].lower() not in {"", "unknown"}
    return f"{models[0]} CPU" if known else f"{platform.machine()} CPU"


def name_dtype(dtype: torch.dtype) -> str:
    """Name a dtype without the word torch."""
    return str(dtype).removeprefix("torch.")
