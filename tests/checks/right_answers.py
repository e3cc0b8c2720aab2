"""One right split module in many styles: all must pass, and none may be called a mistake."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite import SplitMultiHeadAttention

Pair = tuple[Tensor, Tensor]


def allow(x: Tensor, num_heads: int, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
    allowed = torch.ones(x.shape[0], num_heads, x.shape[1], x.shape[1], dtype=torch.bool)
    if attn_mask is not None:
        allowed = allowed & attn_mask
    return (
        allowed & torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        if is_causal
        else (allowed)
    )


class PackageModule(nn.Module):
    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = SplitMultiHeadAttention(embed_dim, num_heads, dropout=dropout)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        return self.inner(x, attn_mask=attn_mask, is_causal=is_causal, need_weights=True)  # type: ignore[no-any-return]


class FusedWithSdpa(nn.Module):
    """One linear layer for q, k, v; the fused kernel for the output, a softmax for the weights."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.c_attn = nn.Linear(embed_dim, 3 * embed_dim, bias=False)
        self.c_proj = nn.Linear(embed_dim, embed_dim, bias=False)
        self.n_head, self.p = num_heads, dropout

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        n, length, width = x.shape
        q, k, v = (
            part.view(n, length, self.n_head, -1).transpose(1, 2)
            for part in self.c_attn(x).split(width, dim=2)
        )
        allowed = allow(x, self.n_head, attn_mask, is_causal)
        p = self.p if self.training else 0.0
        output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=p)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        weights = scores.masked_fill(~allowed, -math.inf).softmax(-1).nan_to_num()
        return self.c_proj(output.transpose(1, 2).reshape(n, length, width)), weights


class LoopOverHeads(nn.Module):
    """Three small layers a head, and a loop."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        width = embed_dim // num_heads
        self.mix = nn.Linear(embed_dim, embed_dim)
        self.heads = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(embed_dim, width) for name in ("v", "q", "k")})
            for _ in range(num_heads)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        allowed = allow(x, len(self.heads), attn_mask, is_causal)
        outputs, maps = [], []
        for i, head in enumerate(self.heads):
            q, k, v = (head[name](x) for name in ("q", "k", "v"))  # type: ignore[index]
            scores = torch.bmm(q, k.transpose(1, 2)) * q.shape[-1] ** -0.5
            low = torch.finfo(scores.dtype).min
            weights = scores.masked_fill(~allowed[:, i], low).softmax(-1) * allowed[:, i]
            outputs.append(torch.bmm(self.drop(weights), v))
            maps.append(weights)
        return self.mix(torch.cat(outputs, -1)), torch.stack(maps, 1)


class RawMatrices(nn.Module):
    """Plain parameters, multiplied from the right, under other names and in another order."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.w_o, self.w_v, self.w_k, self.w_q = (
            nn.Parameter(torch.randn(embed_dim, embed_dim)) for _ in range(4)
        )
        self.h, self.p = num_heads, dropout

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        n, length, _ = x.shape
        q, k, v = (
            (x @ w).reshape(n, length, self.h, -1).permute(0, 2, 1, 3)
            for w in (self.w_q, self.w_k, self.w_v)
        )
        allowed = allow(x, self.h, attn_mask, is_causal)
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        shares = torch.exp(scores - scores.max(-1, keepdim=True).values) * allowed
        weights = shares / shares.sum(-1, keepdim=True).clamp_min(1e-20)
        mixed = F.dropout(weights, self.p, self.training) @ v
        return mixed.permute(0, 2, 1, 3).flatten(2) @ self.w_o, weights


class EinsumPerHead(nn.Module):
    """Parameters with an axis for the heads, no reshape anywhere."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        shape = (num_heads, embed_dim, embed_dim // num_heads)
        self.q, self.k, self.v = (nn.Parameter(torch.randn(shape)) for _ in range(3))
        self.o = nn.Parameter(torch.randn(num_heads, embed_dim // num_heads, embed_dim))
        self.q_bias, self.k_bias = (nn.Parameter(torch.zeros(num_heads, 1, shape[2])) for _ in "qk")
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        q = torch.einsum("nle,hed->nhld", x, self.q) + self.q_bias
        k = torch.einsum("nle,hed->nhld", x, self.k) + self.k_bias
        v = torch.einsum("nle,hed->nhld", x, self.v)
        allowed = allow(x, len(self.q), attn_mask, is_causal)
        scores = torch.einsum("nhld,nhsd->nhls", q, k) / self.q.shape[-1] ** 0.5
        scores = torch.where(allowed, scores, torch.tensor(-1e9))
        weights = torch.where(allowed, scores.softmax(-1), torch.tensor(0.0))
        return torch.einsum("nhls,nhsd,hde->nle", self.drop(weights), v, self.o), weights


class TorchWrapped(nn.Module):
    """torch.nn.MultiheadAttention, whose masks mean the opposite."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(embed_dim, num_heads, dropout, batch_first=True)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        length = x.shape[1]
        allowed = allow(x, self.mha.num_heads, attn_mask, is_causal)
        blind = ~allowed.any(-1, keepdim=True)
        blocked = (~allowed & ~blind).reshape(-1, length, length)
        output, weights = self.mha(
            x, x, x, attn_mask=blocked, average_attn_weights=False, need_weights=True
        )
        return output, weights.masked_fill(blind, 0.0)


class InterleavedByHead(nn.Module):
    """One layer whose rows are head by head: query, key, value of head 0, then of head 1."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dense = nn.Linear(embed_dim, embed_dim)
        self.query_key_value = nn.Linear(embed_dim, 3 * embed_dim)
        self.h, self.p = num_heads, dropout

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        n, length, width = x.shape
        fused = self.query_key_value(x).view(n, length, self.h, 3 * (width // self.h))
        q, k, v = fused.transpose(1, 2).chunk(3, dim=-1)
        allowed = allow(x, self.h, attn_mask, is_causal)
        bias = torch.zeros(allowed.shape).masked_fill(~allowed, -1e9)
        weights = (q @ k.mT / math.sqrt(q.shape[-1]) + bias).softmax(-1) * allowed
        mixed = F.dropout(weights, self.p, self.training) @ v
        return self.dense(mixed.transpose(1, 2).reshape(n, length, width)), weights


class KeyAndValueFused(nn.Module):
    """One layer for queries, one for keys and values; samples and heads in one axis."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.to_q = nn.Linear(embed_dim, embed_dim, bias=False)
        self.to_kv = nn.Linear(embed_dim, 2 * embed_dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(embed_dim, embed_dim), nn.Identity())
        self.h, self.drop = num_heads, nn.Dropout(dropout)

    def flat(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        x = x.view(n, length, self.h, width // self.h).transpose(1, 2)
        return x.reshape(n * self.h, length, width // self.h)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        n, length, _ = x.shape
        q, k, v = (self.flat(part) for part in (self.to_q(x), *self.to_kv(x).chunk(2, -1)))
        allowed = allow(x, self.h, attn_mask, is_causal).reshape(-1, length, length)
        scores = torch.baddbmm(torch.zeros(len(q), length, length), q, k.mT)
        scores = scores.div(math.sqrt(q.shape[-1])).masked_fill(~allowed, -1e4)
        weights = scores.softmax(-1).masked_fill(~allowed, 0.0)
        mixed = (self.drop(weights) @ v).view(n, self.h, length, -1).transpose(1, 2)
        return self.to_out(mixed.flatten(2)), weights.view(n, self.h, length, length)


class StridedHeads(nn.Module):
    """Head h takes every H-th feature: as good as neighbouring ones."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(embed_dim, embed_dim) for _ in range(4))
        self.h, self.p = num_heads, dropout

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        q, k, v = (
            layer(x).view(*x.shape[:2], -1, self.h).movedim(-1, 1)
            for layer in (self.c, self.a, self.d)
        )
        allowed = allow(x, self.h, attn_mask, is_causal)
        low = torch.finfo(x.dtype).min
        weights = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~allowed, low).softmax(-1) * allowed
        mixed = F.dropout(weights, self.p, self.training) @ v
        return self.b(mixed.movedim(1, -1).flatten(2)), weights


class StackedParameters(nn.Module):
    """All three input projections in one tensor `(3, E, E)`, with biases `(3, E)`."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3, embed_dim))
        self.kernel = nn.Parameter(torch.randn(3, embed_dim, embed_dim))
        self.final = nn.Linear(embed_dim, embed_dim)
        self.h, self.p = num_heads, dropout

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        projected = torch.einsum("nle,pef->pnlf", x, self.kernel) + self.bias[:, None, None]
        q, k, v = projected.view(3, *x.shape[:2], self.h, -1).transpose(2, 3)
        allowed = allow(x, self.h, attn_mask, is_causal)
        low = torch.finfo(x.dtype).min
        weights = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~allowed, low).softmax(-1) * allowed
        mixed = F.dropout(weights, self.p, self.training) @ v
        return self.final(mixed.transpose(1, 2).flatten(2)), weights


class ListsByRole(nn.Module):
    """Three lists of small layers, one for each role."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        width = embed_dim // num_heads
        self.queries, self.keys, self.values = (
            nn.ModuleList(nn.Linear(embed_dim, width) for _ in range(num_heads)) for _ in range(3)
        )
        self.out = nn.Linear(embed_dim, embed_dim)
        self.p = dropout

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        q, k, v = (
            torch.stack([layer(x) for layer in layers], dim=1)
            for layers in (self.queries, self.keys, self.values)
        )
        allowed = allow(x, len(self.queries), attn_mask, is_causal)
        low = torch.finfo(x.dtype).min
        weights = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~allowed, low).softmax(-1) * allowed
        mixed = F.dropout(weights, self.p, self.training) @ v
        return self.out(torch.cat(mixed.unbind(1), dim=-1)), weights


RIGHT: tuple[type[nn.Module], ...] = (
    PackageModule,
    FusedWithSdpa,
    LoopOverHeads,
    RawMatrices,
    EinsumPerHead,
    TorchWrapped,
    InterleavedByHead,
    KeyAndValueFused,
    StridedHeads,
    StackedParameters,
    ListsByRole,
)
