"""The least that self-attention can cost: arithmetic and memory on paper, at a machine's own rates.

A variant cannot be faster than its floor. How far above it lies says what there is to gain.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from cleanformer_lite.timing.calls import make_timer, warm_up

ENOUGH, LARGEST = 0.005, 8192  # a product that takes this long, in seconds, is large enough
BACKWARD = 2  # the gradients of a matrix product are two products of its size


@dataclass(frozen=True)
class Shape:
    """The sizes of one self-attention: N sequences of length L, embed_dim E, H heads."""

    batch: int
    length: int
    embed_dim: int
    num_heads: int

    def __post_init__(self) -> None:
        sizes = asdict(self)
        if any(size < 1 for size in sizes.values()) or self.embed_dim % self.num_heads:
            raise ValueError(
                f"wanted sizes above 0 and an embed_dim that num_heads divides, got {sizes}"
            )


@dataclass(frozen=True)
class Rates:
    """What a machine can do at best, as measured: multiplications, memory and launching.

    `flops` counts additions and multiplications a second, `bandwidth` bytes a second, and `launch`
    is the seconds that an operator takes which has nothing to do.
    """

    flops: float
    bandwidth: float
    launch: float


def count_flops(shape: Shape, *, backward: bool = False) -> int:
    """Count additions and multiplications of the matrix products; softmax is left out.

    Four projections of `2 N L E E` each, scores and mean of `2 N L L E` each. The number of heads
    changes nothing: each head has its share of E.
    """
    n, length, e = shape.batch, shape.length, shape.embed_dim
    forward = 4 * 2 * n * length * e * e + 2 * 2 * n * length * length * e
    return forward * (1 + BACKWARD) if backward else forward


def count_bytes(shape: Shape, itemsize: int, *, backward: bool = False) -> int:
    """Count the bytes that must cross the memory bus: input, weights and output, once each.

    The scores need not: a fused kernel never writes them. With `backward` the weights and the input
    are read again, and a gradient of each is written.
    """
    n, length, e = shape.batch, shape.length, shape.embed_dim
    features, weights = n * length * e, 4 * e * e
    forward = 2 * features + weights
    return itemsize * (forward + 3 * features + 2 * weights if backward else forward)


def floor_seconds(shape: Shape, rates: Rates, itemsize: int, *, backward: bool = False) -> float:
    """Return the least time for one call: arithmetic or memory, whichever takes longer."""
    arithmetic = count_flops(shape, backward=backward) / rates.flops
    memory = count_bytes(shape, itemsize, backward=backward) / rates.bandwidth
    return max(arithmetic, memory)


def predict_seconds(
    shape: Shape, rates: Rates, operators: int, itemsize: int, *, backward: bool = False
) -> float:
    """Predict a call's time on paper: its floor, or the launching of its operators if that is more.

    A GPU works while the next operator is launched, so the longer of the two is what counts there;
    on a CPU the thread that launches also works, and this prediction is too low between the two.
    """
    launching = operators * rates.launch
    return max(floor_seconds(shape, rates, itemsize, backward=backward), launching)


def measure_rates(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Rates:
    """Measure what this machine can do: a large product, a large copy, and an empty operator.

    Takes about a second. Units: operations, bytes and seconds, as in `Rates`.
    """
    on_gpu = torch.device(device).type == "cuda"

    def product(side: int) -> Callable[[], Tensor]:
        matrix = torch.randn(side, side, device=device, dtype=dtype)
        return lambda: matrix @ matrix

    side = 64
    while side < LARGEST and warm_up(make_timer(product(side))) < ENOUGH:
        side *= 2
    block = torch.empty(2**30 if on_gpu else 2**26, dtype=torch.uint8, device=device)
    target, one = torch.empty_like(block), torch.ones(1, device=device)
    return Rates(
        flops=2 * side**3 / fastest(product(side)),
        bandwidth=2 * block.numel() / fastest(lambda: target.copy_(block)),
        launch=fastest(lambda: one.add_(1.0)),
    )


def fastest(call: Callable[[], object]) -> float:
    """Return the shortest time of a call among several blocks, in seconds."""
    timer = make_timer(call)
    number = max(1, round(0.02 / warm_up(timer)))
    return min(timer.timeit(number).median for _ in range(10))
