"""What the GPU alone needs for a call, without the time that the CPU takes to launch it."""

from collections.abc import Callable

import torch

WARM_UP = 3


def device_seconds(call: Callable[[], None], samples: int) -> list[float]:
    """Time a call as one recorded CUDA graph, between two events, on a cold L2 cache.

    A graph launches all its kernels at once, so no gap between them is timed. Before each replay
    the cache is overwritten, or small inputs would be read from where a real model never has them.

    Units: seconds. Raises: RuntimeError from torch where a call cannot be recorded as a graph.
    """
    graph = record_graph(call)
    cache = torch.empty(flushing_bytes(), dtype=torch.int8, device="cuda")
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


def record_graph(call: Callable[[], None]) -> torch.cuda.CUDAGraph:
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


def flushing_bytes() -> int:
    """Return how much memory to overwrite so that nothing older is left in the L2 cache."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return 2 * int(properties.L2_cache_size)


def count_launches(call: Callable[[], None]) -> int:
    """Count the kernels that one call launches, as PyTorch's profiler sees them on the GPU."""
    from torch.profiler import ProfilerActivity, profile

    call()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        call()
        torch.cuda.synchronize()
    return sum("CUDA" in str(event.device_type) for event in seen.events() or [])
