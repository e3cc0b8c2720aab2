"""What is asked of a graphics card: its own time, its launches, its kernels, dtype and memory."""

import subprocess
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

WARM_UP = 3
# Writing this much takes longer than the processor needs to enqueue a graph, so that no waiting for
# the processor is timed; and it is more than any card's L2 cache holds.
FLUSHED = 256 * 2**20
_BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}


def usual_dtype(device: torch.device | str) -> torch.dtype:
    """Return the dtype that models train in on a device: float32 on a CPU, half precision on a GPU.

    A card of before 2020, Colab's T4 among them, only emulates bfloat16: there it is float16.
    """
    if torch.device(device).type != "cuda":
        return torch.float32
    own = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if own else torch.float16


def free_bytes(device: torch.device | str) -> int:
    """Return the memory of a card that is free now, what torch keeps for itself included."""
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + kept)


def device_seconds(call: Callable[[], object], samples: int) -> list[float]:
    """Time a call as one recorded CUDA graph, between two events, on a cold L2 cache.

    A graph launches all its kernels at once, so no gap between them is timed. Before each replay
    the cache is overwritten, or small inputs would be read from where a real model never has them.

    Units: seconds. Raises: RuntimeError from torch where a call cannot be recorded as a graph.
    """
    graph = _record_graph(call)
    cache = torch.empty(_flushing_bytes(), dtype=torch.int8, device="cuda")
    seconds = []
    for _ in range(samples):
        cache.zero_()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        seconds.append(start.elapsed_time(end) / 1000)  # torch gives milliseconds
    return seconds


def replayed(call: Callable[[], object], samples: int) -> list[float] | None:
    """Return the device's own times, or None for a call that CUDA cannot record as a graph."""
    try:
        return device_seconds(call, samples)
    except RuntimeError:
        torch.cuda.synchronize()
        return None


def _record_graph(call: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """Record the kernels of a call. CUDA wants the warm-up on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph


def _flushing_bytes() -> int:
    """Return how much memory to overwrite so that nothing older is left in the L2 cache."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return max(FLUSHED, 2 * int(properties.L2_cache_size))


def count_launches(call: Callable[[], object]) -> int:
    """Count the kernels that one call launches, as PyTorch's profiler sees them on the GPU."""
    from torch.profiler import ProfilerActivity, profile

    call()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        call()
        torch.cuda.synchronize()
    return sum(map(_is_kernel, seen.events() or []))


def _is_kernel(event: Any) -> bool:
    """Say whether the GPU ran a kernel: copies and fills are no kernels, nor are named spans."""
    if "CUDA" not in str(event.device_type) or getattr(event, "is_user_annotation", False):
        return False
    return not event.name.startswith(("Memcpy", "Memset"))


def describe_card(device: torch.device | str, dtype: torch.dtype) -> dict[str, Any]:
    """Say what else times on a card depend on; empty on a CPU.

    `capability` as "8.0"; `clocks` of the card in MHz, None where they cannot be read; `backends`,
    the ways to attend that run there in this dtype.
    """
    if torch.device(device).type != "cuda":
        return {}
    major, minor = torch.cuda.get_device_capability(device)
    return {
        "capability": f"{major}.{minor}",
        "clocks": read_clocks(device),
        "backends": available_backends(device, dtype),
    }


def read_clocks(device: torch.device | str) -> dict[str, int] | None:
    """Return the clocks in MHz, now and at most, as the driver's own tool says; None without it."""
    names = ["clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem"]
    index = torch.device(device).index
    card = torch.cuda.get_device_properties(torch.cuda.current_device() if index is None else index)
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader,nounits"]
    try:
        command.append(f"--id=GPU-{card.uuid}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        clocks = [int(cell) for cell in done.stdout.split(",")]
    except (AttributeError, OSError, ValueError, subprocess.SubprocessError):
        return None
    return dict(zip(names, clocks, strict=True))


def available_backends(device: torch.device | str, dtype: torch.dtype) -> list[str]:
    """List the ways to attend that run on a device, found by trying each on a small problem."""
    x = torch.zeros(1, 2, 64, 64, device=device, dtype=dtype)
    found = []
    for name, backend in _BACKENDS.items():
        with warnings.catch_warnings(), sdpa_kernel(backend), torch.no_grad():
            warnings.simplefilter("ignore")  # each refusal warns, once for every reason
            try:
                F.scaled_dot_product_attention(x, x, x)
            except RuntimeError:
                continue
        found.append(name)
    return found
