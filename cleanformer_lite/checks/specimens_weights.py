"""Deliberate bugs in what a module keeps, as modules. SPECIMENS, wrong on purpose."""

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.chapters.plain import attention
from cleanformer_lite.registration_bug import HeadsBuiltInForward, HeadsInPlainList
from cleanformer_lite.single_head import SingleHeadAttention
from cleanformer_lite.split_heads import merge_heads, split_heads

Pair = tuple[Tensor, Tensor]


class BuiltInForward(HeadsBuiltInForward):
    """SPECIMEN: the package's own, with the signature of the exercises."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__(embed_dim, num_heads, dropout=dropout)

    def forward(  # type: ignore[override]
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor | Pair:
        return super().forward(x, attn_mask=attn_mask, is_causal=is_causal, need_weights=True)


class PlainList(HeadsInPlainList):
    """SPECIMEN: the package's own, with the signature of the exercises."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__(embed_dim, num_heads, dropout=dropout)

    def forward(  # type: ignore[override]
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor | Pair:
        return super().forward(x, attn_mask=attn_mask, is_causal=is_causal, need_weights=True)


class SharedLayer(nn.Module):
    """SPECIMEN: `[head] * num_heads` is one head, several times."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        head = SingleHeadAttention(embed_dim, head_dim=embed_dim // num_heads, dropout=dropout)
        self.heads = nn.ModuleList([head] * num_heads)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        length = x.shape[1]
        wide = torch.ones(len(x), len(self.heads), length, length, dtype=torch.bool)
        wide = wide if attn_mask is None else wide & attn_mask
        results = [
            head(x, attn_mask=wide[:, [i]], is_causal=is_causal, need_weights=True)
            for i, head in enumerate(self.heads)
        ]
        outputs, weights = zip(*results, strict=True)
        return self.out_proj(torch.cat(outputs, dim=-1)), torch.cat(weights, dim=1)


class SplitBeforeProjection(nn.Module):
    """SPECIMEN: cuts the input in parts, and sends every part through one small projection."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = nn.Dropout(dropout)
        width = embed_dim // num_heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        part = split_heads(x, self.num_heads)
        allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
        allowed = allowed.tril() if is_causal else allowed
        allowed = allowed if attn_mask is None else allowed & attn_mask
        query, key, value = self.q_proj(part), self.k_proj(part), self.v_proj(part)
        _, weights = attention(query, key, value, allowed)
        return self.out_proj(merge_heads(self.dropout(weights) @ value)), weights


class ViewNotContiguous(nn.Module):
    """SPECIMEN: `view` after a transpose, which raises: the good failure."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(embed_dim, 3 * embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        query, key, value = (split_heads(p, self.num_heads) for p in self.in_proj(x).chunk(3, -1))
        output, weights = attention(query, key, value, attn_mask)
        return self.out_proj(output.transpose(1, 2).view(x.shape)), weights


MODULES: dict[str, type[nn.Module]] = {
    "built_in_forward": BuiltInForward,
    "plain_list": PlainList,
    "shared_layer": SharedLayer,
    "split_before_projection": SplitBeforeProjection,
    "view_not_contiguous": ViewNotContiguous,
}
