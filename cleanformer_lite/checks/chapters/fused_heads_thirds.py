"""Ways to cut one projection into query, key and value: the right one and wrong ones."""

from collections.abc import Callable

import torch
from torch import Tensor

Heads = Callable[[Tensor, int], tuple[Tensor, ...]]


def thirds(projected: Tensor, num_heads: int) -> tuple[Tensor, ...]:
    """Slice head after head out of each third."""
    embed_dim = projected.shape[-1] // 3
    width = embed_dim // num_heads
    starts = [[part * embed_dim + head * width for head in range(num_heads)] for part in range(3)]
    return tuple(
        torch.stack([projected[..., first : first + width] for first in firsts], dim=1)
        for firsts in starts
    )


def cut(shape: str, order: tuple[int, ...]) -> Heads:
    """SPECIMEN: the last axis cut in another order; `shape` names its parts, 3, H and D."""

    def split(projected: Tensor, num_heads: int) -> tuple[Tensor, ...]:
        width = projected.shape[-1] // 3 // num_heads
        sizes = [{"3": 3, "H": num_heads, "D": width}[letter] for letter in shape]
        return projected.view(*projected.shape[:2], *sizes).permute(order).unbind(0)

    return split


def without_transpose(projected: Tensor, num_heads: int) -> tuple[Tensor, ...]:
    """SPECIMEN: right thirds, each viewed straight as heads."""
    batch, length, _ = projected.shape
    return tuple(part.reshape(batch, num_heads, length, -1) for part in projected.chunk(3, dim=-1))


INTERLEAVED = (
    cut("H3D", (3, 0, 2, 1, 4)),
    cut("HD3", (4, 0, 2, 1, 3)),
    cut("DH3", (4, 0, 3, 1, 2)),
)
