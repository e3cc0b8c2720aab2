"""Marks that say where in a sequence a vector stands."""

import math

import torch
from torch import Tensor


def positions(length: int, embed_dim: int) -> Tensor:
    """Mark each position by sines and cosines, from fast to slow.

    Shapes: -> `(L, E)`.

    Source: Vaswani et al. (2017), section 3.5.
    """
    index = torch.arange(length)[:, None]
    even = torch.arange(0, embed_dim, 2)
    angle = index * torch.exp(-math.log(10_000.0) * even / embed_dim)  # (L, E / 2)
    marks = torch.zeros(length, embed_dim)
    marks[:, 0::2] = angle.sin()
    marks[:, 1::2] = angle.cos()[:, : embed_dim // 2]
    return marks
