"""Solutions of the chapter on fused heads."""

import math

import torch
from torch.nn import functional as F


def split_projection(projected, num_heads):
    """Cut into thirds first, each third into heads after."""
    batch, length, _ = projected.shape
    # (N, L, 3E) -> 3 times (N, L, E) -> 3 times (N, H, L, D)
    return tuple(
        part.reshape(batch, length, num_heads, -1).transpose(1, 2)
        for part in projected.chunk(3, dim=-1)
    )


def merge_blocks(top, total, mean, other_top, other_total, other_mean):
    """Bring both sides to the larger maximum, then add."""
    new_top = torch.maximum(top, other_top)
    # Where nothing changes the factor is 1, also for a top of minus infinity.
    ours = torch.where(top == new_top, 1.0, torch.exp(top - new_top))
    theirs = torch.where(other_top == new_top, 1.0, torch.exp(other_top - new_top))
    return new_top, ours * total + theirs * other_total, ours * mean + theirs * other_mean


def blocked_attention(query, key, value, block):
    """Read a block, put it together with what was read before, divide once at the end."""
    top = query.new_full((len(query), 1), -math.inf)
    total = torch.zeros_like(top)
    mean = query.new_zeros(len(query), value.shape[-1])
    for first in range(0, len(key), block):
        scores = query @ key[first : first + block].T / query.shape[-1] ** 0.5
        block_top = scores.amax(dim=-1, keepdim=True)
        powers = torch.exp(scores - block_top)
        block_total = powers.sum(dim=-1, keepdim=True)
        block_mean = powers @ value[first : first + block]
        top, total, mean = merge_blocks(top, total, mean, block_top, block_total, block_mean)
    return mean / total


def fused_forward(
    x,
    in_weight,
    out_weight,
    num_heads,
    attn_mask=None,
    is_causal=False,
    dropout=0.0,
    training=False,
):
    """One product in, one kernel, one product out."""
    query, key, value = split_projection(F.linear(x, in_weight), num_heads)
    allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device)
    if is_causal:
        allowed = allowed.tril()
    if attn_mask is not None:
        allowed = allowed & attn_mask
    nothing = ~allowed.any(dim=-1, keepdim=True)
    dropped = dropout if training else 0.0
    output = F.scaled_dot_product_attention(
        query, key, value, attn_mask=allowed | nothing, dropout_p=dropped
    )
    output = output.masked_fill(nothing, 0.0)
    # (N, H, L, D) -> (N, L, H, D) -> (N, L, E)
    return F.linear(output.transpose(1, 2).flatten(2), out_weight)
