"""Right modules whose weights lie in any way: roles joined or apart, axes in any order."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite import merge_heads, scaled_dot_product_attention

ROLES = "qkv"


@dataclass(frozen=True)
class Layout:
    """How the weights of one module lie.

    `groups` says which roles share a parameter; `axes` in which order its axes stand (r for the
    role, h, d, and e for the input); `biases` which roles have one, and `joint` whether these are
    one vector; `out` how the output matrix lies: "io", "oi", or "pieces", one a head.
    """

    groups: tuple[str, ...]
    axes: str
    biases: str
    joint: bool
    out: str

    def __str__(self) -> str:
        joined = "joint" if self.joint else "apart"
        return f"{'+'.join(self.groups)}-{self.axes}-{self.biases or 'none'}-{joined}-{self.out}"


def layouts() -> Iterator[Layout]:
    """List every layout."""
    groups = (("q", "k", "v"), ("qkv",), ("q", "kv"), ("vkq",), ("v", "qk"))
    axes = ("rhde", "rehd", "erhd", "hrde", "rdhe")
    biases = ("", "qkvo", "qkv", "qv", "o", "qvo", "v")
    outs = ("io", "oi", "pieces")
    for given in itertools.product(groups, axes, biases, (False, True), outs):
        layout = Layout(*given)
        if not layout.joint or len(set(layout.biases) & set(ROLES)) > 1:
            yield layout


def some_layouts(number: int, seed: int = 0) -> list[Layout]:
    """Choose some of them."""
    return random.Random(seed).sample(list(layouts()), number)


class Laid(nn.Module):
    """The right attention on weights that lie as a layout says."""

    layout: Layout

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        head_dim = embed_dim // num_heads
        self.weights = nn.ParameterList()
        for group in self.layout.groups:
            sizes = {"r": len(group), "h": num_heads, "d": head_dim, "e": embed_dim}
            self.weights.append(nn.Parameter(torch.randn([sizes[a] for a in self.layout.axes])))
        roles = [role for role in self.layout.biases if role in ROLES]
        lengths = [embed_dim * len(roles)] if self.layout.joint else [embed_dim] * len(roles)
        self.biases = nn.ParameterList(nn.Parameter(torch.randn(n)) for n in lengths if n)
        pieces = num_heads if self.layout.out == "pieces" else 1
        shape = (head_dim, embed_dim) if pieces > 1 else (embed_dim, embed_dim)
        self.out = nn.ParameterList(nn.Parameter(torch.randn(shape)) for _ in range(pieces))
        self.out_bias = nn.Parameter(torch.randn(embed_dim)) if "o" in self.layout.biases else None

    def parts(self, x: Tensor) -> dict[str, Tensor]:
        """Project x for every role; (N, L, E) -> (N, H, L, D)."""
        found: dict[str, Tensor] = {}
        for group, weight in zip(self.layout.groups, self.weights, strict=True):
            made = torch.einsum(f"nle,{self.layout.axes}->rnhld", x, weight)
            found |= dict(zip(group, made, strict=True))
        roles = [role for role in self.layout.biases if role in ROLES]
        if not roles:
            return found
        # A bias lies as its rows do: heads first, or features first.
        features_first = self.layout.axes.index("d") < self.layout.axes.index("h")
        biases = torch.cat(list(self.biases)).split(self.embed_dim)
        for role, bias in zip(roles, biases, strict=True):
            wide = bias.view(-1, self.num_heads).t() if features_first else None
            laid = bias.view(self.num_heads, -1) if wide is None else wide
            found[role] = found[role] + laid[:, None]
        return found

    def forward(self, x: Tensor, attn_mask: Any = None, is_causal: bool = False) -> Any:
        found = self.parts(x)
        output, weights = scaled_dot_product_attention(
            found["q"], found["k"], found["v"], attn_mask=attn_mask, is_causal=is_causal,
            dropout=self.dropout, training=self.training,
        )  # fmt: skip
        merged = merge_heads(output)
        if self.layout.out == "pieces":
            result = sum(
                part @ piece for part, piece in zip(output.unbind(1), self.out, strict=True)
            )
        else:
            (matrix,) = self.out
            result = merged @ (matrix if self.layout.out == "io" else matrix.t())
        return result if self.out_bias is None else result + self.out_bias, weights


def module_of(layout: Layout) -> type[nn.Module]:
    """Make the module of a layout."""
    return type(f"Laid_{layout}", (Laid,), {"layout": layout})
