"""Solutions of the chapter on the loop."""

import torch
from torch import nn


def join_heads(outputs):
    """Lay the heads side by side."""
    return torch.cat(outputs, dim=-1)


def attend(query, key, value, allowed=None):
    """Attend as in the chapter before, for one head."""
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    if allowed is None:
        weights = torch.softmax(scores, dim=-1)
    else:
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, dim=-1).masked_fill(~allowed, 0.0)
    return weights @ value, weights


def run_heads(x, query_weights, key_weights, value_weights):
    """Run the heads one by one."""
    outputs, maps = [], []
    for query, key, value in zip(query_weights, key_weights, value_weights, strict=True):
        output, weights = attend(x @ query.T, x @ key.T, x @ value.T)
        outputs.append(output)
        maps.append(weights)
    return join_heads(outputs), torch.stack(maps, dim=1)


class LoopedHeads(nn.Module):
    """One small layer of each kind for every head."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        head_dim = embed_dim // num_heads
        self.queries = nn.ModuleList(nn.Linear(embed_dim, head_dim) for _ in range(num_heads))
        self.keys = nn.ModuleList(nn.Linear(embed_dim, head_dim) for _ in range(num_heads))
        self.values = nn.ModuleList(nn.Linear(embed_dim, head_dim) for _ in range(num_heads))
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, attn_mask=None):
        """Run the heads one by one, each under its own part of the mask."""
        batch, length, _ = x.shape
        if attn_mask is not None:
            attn_mask = attn_mask.expand(batch, self.num_heads, length, length)
        outputs, maps = [], []
        for head in range(self.num_heads):
            allowed = None if attn_mask is None else attn_mask[:, head]
            query, key = self.queries[head](x), self.keys[head](x)
            output, weights = attend(query, key, self.values[head](x), allowed)
            outputs.append(output)
            maps.append(weights)
        return self.out_proj(join_heads(outputs)), torch.stack(maps, dim=1)
