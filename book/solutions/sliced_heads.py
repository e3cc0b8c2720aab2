"""Solutions of the chapter on sliced heads."""

import torch
from torch import nn


def features_read(maps_of, x):
    """Change one feature of one token, and see whose map moves."""
    before = maps_of(x)
    columns = []
    for feature in range(x.shape[-1]):
        changed = x.clone()
        changed[:, -1, feature] += 1.0
        columns.append((maps_of(changed) - before).abs().amax(dim=(0, 2, 3)) > 1e-5)
    return torch.stack(columns, dim=1)


def block_diagonal(weights):
    """Lay the small matrices down on the diagonal."""
    num_heads, head_dim, _ = weights.shape
    big = weights.new_zeros(num_heads * head_dim, num_heads * head_dim)
    for head in range(num_heads):
        own = slice(head * head_dim, (head + 1) * head_dim)
        big[own, own] = weights[head]
    return big


class SlicedHeads(nn.Module):
    """Cut first, project after."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.head_dim = embed_dim // num_heads
        self.heads = nn.ModuleList(
            nn.ModuleList(nn.Linear(self.head_dim, self.head_dim, bias=False) for _ in range(3))
            for _ in range(num_heads)
        )
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=False)

    def forward(self, x):
        """Attend in each part by itself, then mix."""
        outputs, maps = [], []
        # (N, L, E) -> H times (N, L, D)
        for layers, part in zip(self.heads, x.split(self.head_dim, dim=-1), strict=True):
            query, key, value = (layer(part) for layer in layers)
            scores = query @ key.transpose(-2, -1) / self.head_dim**0.5
            weights = torch.softmax(scores, dim=-1)
            outputs.append(weights @ value)
            maps.append(weights)
        return self.out_proj(torch.cat(outputs, dim=-1)), torch.stack(maps, dim=1)
