"""What attention costs on paper: arithmetic, memory and launching, at a machine's own rates.

A variant's floor is the time of its arithmetic, or of its memory, at the rates of one large product
and one large copy in the same dtype. How far above it lies says what there is to gain. It may lie
below: float16 on a CPU does, where a module's products run faster than that one large product.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cleanformer_lite.timing.calls import make_timer, warm_up
from cleanformer_lite.timing.units import in_time
from cleanformer_lite.timing.variants import BASELINE, Shape, variant_of

ENOUGH, LARGEST = 0.005, 8192  # a product that takes this long, in seconds, is large enough
BACKWARD = 2  # the gradients of a matrix product are two products of its size


@dataclass(frozen=True)
class Rates:
    """What a machine did in one large product, one large copy and one empty operator.

    `flops` counts additions and multiplications a second, `bandwidth` bytes a second, and `launch`
    is the seconds that an operator takes which has nothing to do.
    """

    flops: float
    bandwidth: float
    launch: float


def count_flops(shape: Shape, *, variant: str = BASELINE, backward: bool = False) -> int:
    """Count additions and multiplications of the matrix products; softmax is left out.

    Each weight is used once for each position, in one multiplication and one addition; scores and
    mean come on top. What a variant has of both stands in the table of variants.
    """
    row = variant_of(variant)
    forward = 2 * shape.batch * shape.length * row.weights(shape) + row.attending(shape)
    return forward * (1 + BACKWARD) if backward else forward


def count_bytes(
    shape: Shape, itemsize: int, *, variant: str = BASELINE, backward: bool = False
) -> int:
    """Count the bytes that must cross the memory bus: input, weights and output, once each.

    The scores need not: a fused kernel never writes them. With `backward` the weights and the input
    are read again, and a gradient of each is written.
    """
    features = shape.batch * shape.length * shape.embed_dim
    weights = variant_of(variant).weights(shape)
    forward = 2 * features + weights
    return itemsize * (forward + 3 * features + 2 * weights if backward else forward)


def floor_seconds(
    shape: Shape,
    rates: Rates,
    itemsize: int,
    *,
    variant: str = BASELINE,
    backward: bool = False,
) -> float:
    """Return a call's time at these rates: arithmetic or memory, whichever takes longer."""
    arithmetic = count_flops(shape, variant=variant, backward=backward) / rates.flops
    memory = count_bytes(shape, itemsize, variant=variant, backward=backward) / rates.bandwidth
    return max(arithmetic, memory)


def predict_seconds(
    shape: Shape,
    rates: Rates,
    operators: int,
    itemsize: int,
    *,
    variant: str = BASELINE,
    backward: bool = False,
) -> float:
    """Predict a call's time on paper: its floor, or the launching of its operators if that is more.

    A GPU works while the next operator is launched, so the longer of the two is what counts there;
    on a CPU the thread that launches also works, and this prediction is too low between the two.
    """
    launching = operators * rates.launch
    return max(floor_seconds(shape, rates, itemsize, variant=variant, backward=backward), launching)


def measure_rates(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Rates:
    """Measure this machine's rates: a large product, a large copy, and an empty operator.

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
        flops=2 * side**3 / _fastest(product(side)),
        bandwidth=2 * block.numel() / _fastest(lambda: target.copy_(block)),
        launch=_fastest(lambda: one.add_(1.0)),
    )


def _fastest(call: Callable[[], object]) -> float:
    """Return the shortest time of a call among several blocks, in seconds."""
    timer = make_timer(call)
    number = max(1, round(0.02 / warm_up(timer)))
    return min(timer.timeit(number).median for _ in range(10))


class Line(NamedTuple):
    """A straight line through measured times: the law of launching.

    Where operators have little to do, each takes the same time. `slope` is seconds an operator,
    `start` seconds without any, and `r_squared` the share of the times' variance that the line
    explains, 0 to 1.
    """

    slope: float
    start: float
    r_squared: float

    def __str__(self) -> str:
        return f"{in_time(self.slope)} an operator, R2 = {self.r_squared:.4f}"


def fit_line(operators: Sequence[int], seconds: Sequence[float]) -> Line:
    """Fit time against operators by least squares.

    Raises: ValueError unless there are as many times as counts, two or more, not all alike.
    """
    if len(operators) != len(seconds) or len(set(operators)) < 2:
        raise ValueError(
            "wanted as many times as counts, for two different counts at least, got "
            f"{len(seconds)} times for the counts {list(operators)}"
        )
    slope, start = statistics.linear_regression(operators, seconds)
    flat = len(set(seconds)) == 1  # nothing varies, so there is nothing to explain
    r = 1.0 if flat else statistics.correlation(operators, seconds)
    return Line(slope, start, r * r)
