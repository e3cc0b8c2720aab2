"""Solutions of the chapter on the whole Transformer."""

import torch
from torch.nn import functional as F


def padding_mask(tokens, padding):
    """Let everybody read what is no padding."""
    return (tokens != padding)[:, None, None, :]  # (N, S) -> (N, 1, 1, S)


def decoder_mask(tokens, padding):
    """Both masks have to agree."""
    length = tokens.shape[1]
    past = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
    return past & padding_mask(tokens, padding)  # (L, L) & (N, 1, 1, L) -> (N, 1, L, L)


def mark_positions(positions, embed_dim):
    """Use each angle twice."""
    even = torch.arange(0, embed_dim, 2)
    angle = positions[:, None] / 10_000 ** (even / embed_dim)  # (L, E / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def next_piece_loss(predict, target, padding):
    """Give all but the last, want all but the first."""
    logits = predict(target[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=padding)


def greedy(predict, batch_size, start, end, padding, longest):
    """Add a column in each step, until every row has said its end."""
    target = torch.full((batch_size, 1), start)
    ended = torch.zeros(batch_size, dtype=torch.bool)
    for _ in range(longest):
        piece = predict(target)[:, -1].argmax(dim=-1).masked_fill(ended, padding)
        target = torch.cat([target, piece[:, None]], dim=1)
        ended = ended | (piece == end)
        if ended.all():
            break
    return target[:, 1:]
