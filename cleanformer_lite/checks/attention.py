"""The right attention in steps, on given projections; every specimen replaces one of them."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from cleanformer_lite.checks.reading import Projections


class Attention:
    """The right attention; mistakes inherit all steps but one or two from it.

    Shapes: x `(N, L, E)` -> output `(N, L, E)`, weights `(N, H, L, L)`.
    """

    # What a query that may attend to nothing gets: "zero", "nan", or the "mean" of everything.
    fill = "zero"

    def __init__(self, projections: Projections, num_heads: int, dropout: float = 0.0) -> None:
        self.projections = projections
        self.num_heads = num_heads
        self.dropout = dropout
        self.training = False

    def __call__(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> tuple[Tensor, Tensor]:
        query, key, value = self.parts(x)
        weights = self.share(self.scores(query, key), attn_mask, is_causal)
        return self.finish(weights, value), weights

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.project(self.turn(x))
        return self.split(query), self.split(key), self.split(value)

    def share(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
        if attn_mask is None and not is_causal:
            return self.softmax(scores)
        return self.weigh(scores, self.allowed(scores, attn_mask, is_causal))

    def finish(self, weights: Tensor, value: Tensor) -> Tensor:
        return self.turn(self.out(self.merge(self.mix(self.drop(weights), value))))

    def turn(self, x: Tensor) -> Tensor:
        return x

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p = self.projections
        query = F.linear(x, p.query, p.query_bias)
        return query, F.linear(x, p.key, p.key_bias), F.linear(x, p.value, p.value_bias)

    def split(self, x: Tensor) -> Tensor:
        # (N, L, E) -> (N, L, H, D) -> (N, H, L, D)
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    def scale(self, query: Tensor) -> float:
        return 1.0 / math.sqrt(query.shape[-1])

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        return query @ key.transpose(-2, -1) * self.scale(query)

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).tril()

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        if not is_causal:
            return attn_mask
        causal = self.causal(scores.shape[-1])
        return causal if attn_mask is None else attn_mask & causal

    def softmax(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores, dim=-1)

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        if allowed is None:
            return self.softmax(scores)
        low = -math.inf if self.fill == "nan" else torch.finfo(scores.dtype).min
        weights = self.softmax(scores.masked_fill(~allowed, low))
        return weights.masked_fill(~allowed, 0.0) if self.fill == "zero" else weights

    def drop(self, weights: Tensor) -> Tensor:
        return F.dropout(weights, self.dropout, self.training)

    def mix(self, weights: Tensor, value: Tensor) -> Tensor:
        return weights @ value

    def merge(self, x: Tensor) -> Tensor:
        # (N, H, L, D) -> (N, L, H, D) -> (N, L, E)
        return x.transpose(1, 2).flatten(2)

    def out(self, x: Tensor) -> Tensor:
        p = self.projections
        return x if p.out is None else F.linear(x, p.out, p.out_bias)
