"""Solutions of the chapter on one head."""

import torch


def scores(query, key):
    """Take every query's product with every key, over the root of D."""
    return query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5


def masked_softmax(scores, attn_mask):
    """Share out 1 among the allowed keys of each row."""
    filled = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    return torch.softmax(filled, dim=-1).masked_fill(~attn_mask, 0.0)


def attention(query, key, value, attn_mask=None):
    """Take the mean of the values, weighted by how well their keys fit."""
    fit = scores(query, key)
    everything = torch.ones(1, 1, dtype=torch.bool, device=query.device)
    weights = masked_softmax(fit, everything if attn_mask is None else attn_mask)
    return weights @ value, weights
