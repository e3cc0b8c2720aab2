"""What every viewer of attention weights checks about its input."""

from collections.abc import Sequence

import torch
from torch import Tensor


def check_weights(
    weights: Tensor, tokens: Sequence[str], key_tokens: Sequence[str] | None = None
) -> tuple[Tensor, list[str], list[str]]:
    """Return the weights of one sequence on the CPU, and the tokens of queries and keys as text.

    Shapes: weights `(H, L, S)` or `(1, H, L, S)`, tokens L, key_tokens S (None: the tokens again)
        -> `(H, L, S)`, float64, so that rounding later gives few digits.

    Raises: ValueError for any other shape, for numbers that are not finite, or for token counts
        that differ from those of the weights.
    """
    shape = tuple(weights.shape)
    if weights.dim() == 4 and shape[0] == 1:
        weights = weights[0]
    if weights.dim() != 3 or 0 in shape:
        raise ValueError(f"wanted weights of shape (H, L, S) or (1, H, L, S), got {shape}")
    weights = weights.detach().to("cpu", torch.float64)
    if not weights.isfinite().all():
        raise ValueError("wanted finite weights, got NaN or infinity among them")
    queries = [str(token) for token in tokens]
    keys = queries if key_tokens is None else [str(token) for token in key_tokens]
    for name, labels, length in (("tokens", queries, shape[-2]), ("key_tokens", keys, shape[-1])):
        if len(labels) != length:
            raise ValueError(
                f"wanted {length} {name} for weights of shape {shape}, got {len(labels)}"
            )
    return weights, queries, keys
