"""What every attention module accepts, and what it says of anything else."""

import torch
from torch import Tensor


def check_sizes(embed_dim: int, num_heads: int, dropout: float) -> int:
    """Return head_dim, the share of `embed_dim` that each of `num_heads` heads gets.

    Raises: ValueError if a size is below 1, if the heads do not share `embed_dim` evenly, or if
        `dropout` is not a probability.
    """
    if embed_dim < 1 or num_heads < 1:
        raise ValueError(
            "wanted embed_dim and num_heads of at least 1, "
            f"got embed_dim={embed_dim}, num_heads={num_heads}"
        )
    if embed_dim % num_heads != 0:
        raise ValueError(
            f"wanted an embed_dim that num_heads divides, got embed_dim={embed_dim}, "
            f"num_heads={num_heads} (remainder {embed_dim % num_heads})"
        )
    if not 0.0 <= dropout <= 1.0:
        raise ValueError(f"wanted a dropout between 0 and 1, got {dropout}")
    return embed_dim // num_heads


def complete_inputs(
    query: Tensor,
    key: Tensor | None,
    value: Tensor | None,
    attn_mask: Tensor | None,
    embed_dim: int,
    num_heads: int,
    *,
    checked: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill in what was left out (no key: self-attention; no value: the key) and check everything.

    The module that is called checks, once a call. What it calls inside itself is told so by
    `checked`, and does not ask again.

    Shapes: query `(N, L, E)`; key and value `(N, S, E)`; returned in that order. attn_mask
        broadcastable to `(N, H, L, S)`.

    Raises: ValueError naming the tensor whose rank, width, batch, length or device does not fit.
    """
    if key is None and value is not None:
        raise ValueError("wanted a key to go with the value, got a value alone")
    key = query if key is None else key
    value = key if value is None else value
    if checked:
        return query, key, value
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.dim() != 3 or x.shape[-1] != embed_dim:
            raise ValueError(
                f"wanted {name} of shape (N, length, {embed_dim}), got {tuple(x.shape)}"
            )
        if x.shape[0] != query.shape[0]:
            raise ValueError(
                f"wanted {name} with the query's batch of {query.shape[0]}, got {x.shape[0]}"
            )
    check_memory(query, key, value)
    if attn_mask is not None:
        check_mask(attn_mask, (len(query), num_heads, query.shape[1], key.shape[1]), query.device)
    return query, key, value


def check_memory(query: Tensor, key: Tensor, value: Tensor) -> None:
    """Check that there is one value for each key, and that all three are on one device.

    Shapes: query `(..., L, D)`; key `(..., S, D)`; value `(..., S, any)`.

    Raises: ValueError if ranks, lengths, widths or devices do not fit.
    """
    leading, device = query.shape[:-2], query.device
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.dim() < 2:
            raise ValueError(f"wanted {name} of shape (..., length, width), got {tuple(x.shape)}")
        if x.device != device:
            raise ValueError(f"wanted {name} on the query's device {device}, got {x.device}")
        if not broadcasts_to(x.shape[:-2], leading):
            raise ValueError(
                f"wanted {name} with the query's leading axes {tuple(leading)}, "
                f"got {tuple(x.shape[:-2])}"
            )
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"wanted query and key of one width, got {query.shape[-1]} and {key.shape[-1]}"
        )
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"wanted one value per key, got {key.shape[-2]} keys and {value.shape[-2]} values"
        )


def check_mask(attn_mask: Tensor, shape: tuple[int, ...], device: torch.device) -> None:
    """Check that a mask is boolean, on `device`, and broadcasts to the scores' `shape`.

    Raises: ValueError saying which of the three fails.
    """
    if attn_mask.dtype != torch.bool:
        raise ValueError(f"wanted a boolean attn_mask (True = may attend), got {attn_mask.dtype}")
    if attn_mask.device != device:
        raise ValueError(f"wanted attn_mask on the query's device {device}, got {attn_mask.device}")
    if not broadcasts_to(attn_mask.shape, shape):
        raise ValueError(
            f"wanted an attn_mask that broadcasts to {tuple(shape)}, got {tuple(attn_mask.shape)}"
        )


def broadcasts_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Say whether a tensor of `shape` can be stretched to `target`, axis by axis from the end."""
    if shape == target:  # the usual case, in every call
        return True
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(ours in (1, theirs) for ours, theirs in pairs)
