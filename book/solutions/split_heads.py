"""Solutions of the chapter on splitting."""

import torch
from torch import nn
from torch.nn import functional as F


def split_heads(x, num_heads):
    """Cut the features, then put the heads before the tokens."""
    batch, length, embed_dim = x.shape
    # (N, L, E) -> (N, L, H, D) -> (N, H, L, D)
    return x.reshape(batch, length, num_heads, embed_dim // num_heads).transpose(1, 2)


def merge_heads(x):
    """Put the heads of a token side by side."""
    batch, num_heads, length, head_dim = x.shape
    # (N, H, L, D) -> (N, L, H, D) -> (N, L, E)
    return x.transpose(1, 2).reshape(batch, length, num_heads * head_dim)


@torch.no_grad()
def copy_loop(looped, split):
    """Stack the rows of the heads."""
    for name in ("q_proj", "k_proj", "v_proj"):
        layers = [getattr(head, name) for head in looped.heads]
        getattr(split, name).weight.copy_(torch.cat([layer.weight for layer in layers]))
        getattr(split, name).bias.copy_(torch.cat([layer.bias for layer in layers]))
    split.out_proj.load_state_dict(looped.out_proj.state_dict())


class SplitHeads(nn.Module):
    """All heads at once."""

    def __init__(self, embed_dim, num_heads, dropout=0.0):
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, attn_mask=None, is_causal=False):
        """Project, split, attend, merge, project."""
        query = split_heads(self.q_proj(x), self.num_heads)
        key = split_heads(self.k_proj(x), self.num_heads)
        value = split_heads(self.v_proj(x), self.num_heads)
        scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        allowed = torch.ones_like(scores, dtype=torch.bool)
        if attn_mask is not None:
            allowed = allowed & attn_mask
        if is_causal:
            allowed = allowed.tril()
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, dim=-1).masked_fill(~allowed, 0.0)
        dropped = F.dropout(weights, self.dropout, self.training)
        return self.out_proj(merge_heads(dropped @ value)), weights


class RepairedMerge(SplitHeads):
    """Repaired: the heads of a token stand together before they are merged."""


class RepairedSoftmax(SplitHeads):
    """Repaired: the softmax runs along the keys."""


class RepairedPadding(SplitHeads):
    """Repaired: a mask broadcasts; nothing repeats it."""


class RepairedNarrow(SplitHeads):
    """Repaired: projections of E to E come first, the split after them."""
