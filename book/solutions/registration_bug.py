"""Solutions of the chapter on layers that nobody registered."""

import torch
from torch import nn


def count_parameters(embed_dim, num_heads):
    """Count by reading: only a list that torch knows of is listed."""
    out = embed_dim * embed_dim + embed_dim
    heads = 3 * (embed_dim * embed_dim + embed_dim)  # H heads of D features: E in all
    return {"built_in_forward": out, "plain_list": out, "module_list": heads + out}


def hidden_layers(module):
    """Name the attributes that are plain lists with layers in them."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, list) and any(isinstance(item, nn.Module) for item in value)
    ]


class RepairedHeads(nn.Module):
    """Heads that are built once, where torch can see them."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.head_dim = embed_dim // num_heads
        self.heads = nn.ModuleList(
            nn.Linear(embed_dim, 3 * self.head_dim) for _ in range(num_heads)
        )
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x):
        """Run the heads one by one, and mix them."""
        outputs = []
        for head in self.heads:
            query, key, value = head(x).chunk(3, dim=-1)
            scores = query @ key.transpose(-2, -1) / self.head_dim**0.5
            outputs.append(torch.softmax(scores, dim=-1) @ value)
        return self.out_proj(torch.cat(outputs, dim=-1))
