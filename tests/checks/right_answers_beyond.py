"""Answers to the exercises beyond the four steps, in styles that the package does not use."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jacrev
from torch.nn import functional as F

from cleanformer_lite.fused_heads import fused_attention
from cleanformer_lite.positions import positions
from cleanformer_lite.translation.training import loss_of

Answer = Callable[..., Any]


def reads_by_jacobian(maps_of: Answer, x: Tensor) -> Tensor:
    slopes: Tensor = jacrev(lambda x: maps_of(x).sum(0))(x)  # (H, L, L, N, L, E)
    return slopes.abs().amax(dim=(1, 2, 3, 4)) > 1e-7


def reads_by_noise(maps_of: Answer, x: Tensor) -> Tensor:
    rows = []
    for e in range(x.shape[2]):
        noise = torch.zeros_like(x)
        noise[:, :, e] = torch.linspace(-1, 2, x.shape[1])
        rows.append((maps_of(x + noise) != maps_of(x)).flatten(2).any(2).any(0))
    return torch.stack(rows).T


def blocks_by_einsum(weights: Tensor) -> Tensor:
    eye = torch.eye(len(weights))
    return torch.einsum("hij,hg->higj", weights, eye).reshape(2 * [weights[:, 0].numel()])


class SlicedByEinsum(nn.Module):
    """Parameters with an axis for the heads, multiplied from the right."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        width = embed_dim // num_heads
        self.last = nn.Parameter(torch.randn(embed_dim, embed_dim))
        self.three = nn.Parameter(torch.randn(3, num_heads, width, width))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        heads, width = self.three.shape[1:3]
        parts = x.view(*x.shape[:2], heads, width)
        q, k, v = torch.einsum("nlhd,phde->pnhle", parts, self.three)
        weights = (q @ k.mT * width**-0.5).softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2) @ self.last, weights


class SlicedByGroups(nn.Module):
    """Grouped convolutions of width one are small matrices for slices."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (
            nn.Conv1d(embed_dim, embed_dim, 1, groups=num_heads, bias=False) for _ in range(3)
        )
        self.o = nn.Linear(embed_dim, embed_dim, bias=False)
        self.h = num_heads

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = (layer(x.mT).unflatten(1, (self.h, -1)).mT for layer in (self.q, self.k, self.v))
        weights = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1)
        return self.o((weights @ v).permute(0, 2, 1, 3).flatten(2)), weights


class OneSmallHead(SlicedByEinsum):
    """SPECIMEN: one set of small matrices for all slices."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__(embed_dim, num_heads)
        width = embed_dim // num_heads
        self.three = nn.Parameter(torch.randn(3, 1, width, width))
        self.h = num_heads

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        width = self.three.shape[-1]
        parts = x.view(*x.shape[:2], self.h, width).transpose(1, 2)
        q, k, v = parts @ self.three[:, None]  # (N, H, L, D) @ (3, 1, 1, D, D)
        weights = (q @ k.mT * width**-0.5).softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2) @ self.last, weights


class SlicedAcrossSamples(SlicedByEinsum):
    """SPECIMEN: takes samples for tokens."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        output, weights = super().forward(x.transpose(0, 1))
        return output.transpose(0, 1), weights


def thirds_by_view(projected: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    n, length, width = projected.shape
    cut = projected.view(n, length, 3, num_heads, width // 3 // num_heads)
    query, key, value = cut.permute(2, 0, 3, 1, 4)
    return query, key, value


def merge_in_logarithms(
    top: Tensor, total: Tensor, mean: Tensor, top2: Tensor, total2: Tensor, mean2: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    tops = torch.cat([top, top2], dim=1)
    largest = tops.max(dim=1, keepdim=True).values
    safe = largest.masked_fill(largest == -torch.inf, 0.0)
    first, second = (tops - safe).exp().split(1, dim=1)
    return largest, first * total + second * total2, first * mean + second * mean2


def blocked_by_chunks(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    query = query / math.sqrt(key.size(1))
    norm = torch.full((len(query), 1), -torch.inf)
    output = torch.zeros(len(query), value.size(1))
    for keys, values in zip(key.split(block), value.split(block), strict=True):
        scores = query @ keys.T
        here = scores.logsumexp(1, keepdim=True)
        both = torch.logaddexp(norm, here)
        output = output * (norm - both).exp() + (scores - both).exp() @ values
        norm = both
    return output


def blocked_in_two_passes(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    scale = query.shape[-1] ** -0.5
    firsts = range(0, len(key), block)
    tops = [(query @ key[i : i + block].T * scale).amax(1) for i in firsts]
    top = torch.stack(tops).amax(0)[:, None]
    shares = [torch.exp(query @ key[i : i + block].T * scale - top) for i in firsts]
    total = torch.stack([share.sum(1, keepdim=True) for share in shares]).sum(0)
    mixed = [s @ value[i : i + block] for s, i in zip(shares, firsts, strict=True)]
    return torch.stack(mixed).sum(0) / total


def forward_by_package(
    x: Tensor, in_weight: Tensor, out_weight: Tensor, num_heads: int, attn_mask: Any = None,
    is_causal: bool = False, dropout: float = 0.0, training: bool = False,
) -> Tensor:  # fmt: skip
    q, k, v = thirds_by_view(F.linear(x, in_weight), num_heads)
    p = dropout * training
    output = fused_attention(q, k, v, attn_mask=attn_mask, is_causal=is_causal, dropout=p)
    return output.transpose(1, 2).flatten(2) @ out_weight.T


def forward_by_hand(
    x: Tensor, in_weight: Tensor, out_weight: Tensor, num_heads: int, attn_mask: Any = None,
    is_causal: bool = False, dropout: float = 0.0, training: bool = False,
) -> Tensor:  # fmt: skip
    q, k, v = thirds_by_view(x @ in_weight.T, num_heads)
    length = x.shape[1]
    bias = torch.zeros(length, length)
    if attn_mask is not None:
        bias = bias.masked_fill(~attn_mask, -torch.inf)
    if is_causal:
        bias = bias + torch.full((length, length), -torch.inf).triu(1)
    nothing = ~bias.isfinite().any(-1, keepdim=True)
    weights = (q @ k.mT * q.shape[-1] ** -0.5 + bias.masked_fill(nothing, 0.0)).softmax(-1)
    weights = weights.masked_fill(nothing, 0.0)
    mixed = torch.einsum("nhls,nhsd->nlhd", F.dropout(weights, dropout, training), v)
    return mixed.flatten(2) @ out_weight.T


def padding_by_comparison(tokens: Tensor, padding: int) -> Tensor:
    return tokens.ne(padding).unsqueeze(1).unsqueeze(2)


def decoder_by_places(tokens: Tensor, padding: int) -> Tensor:
    place = torch.arange(tokens.shape[1])
    early = place[None, :] <= place[:, None]
    return torch.logical_and(early[None, None], padding_by_comparison(tokens, padding))


def decoder_by_minus(tokens: Tensor, padding: int) -> Tensor:
    length = tokens.shape[1]
    blocked = torch.triu(torch.ones(length, length), diagonal=1).bool()
    return ~(blocked | (tokens == padding)[:, None, None, :])


def marks_by_exponential(positions: Tensor, embed_dim: int) -> Tensor:
    rates = torch.exp(torch.arange(0, embed_dim, 2) * (-math.log(10000.0) / embed_dim))
    marks = torch.empty(len(positions), embed_dim)
    marks[:, 0::2] = torch.sin(positions.unsqueeze(1) * rates)
    marks[:, 1::2] = torch.cos(positions.unsqueeze(1) * rates)
    return marks


def marks_by_phase(positions: Tensor, embed_dim: int) -> Tensor:
    number = torch.arange(embed_dim)
    angle = positions[:, None] / 10000 ** ((number - number % 2) / embed_dim)
    return torch.sin(angle + (number % 2) * math.pi / 2)


def loss_by_log_softmax(predict: Answer, target: Tensor, padding: int) -> Tensor:
    costs: Tensor = (
        -predict(target).log_softmax(-1)[:, :-1].gather(2, target[:, 1:, None]).squeeze(2)
    )
    kept = (target[:, 1:] != padding).float()
    return (costs * kept).sum() / kept.sum()


def loss_by_transpose(predict: Answer, target: Tensor, padding: int) -> Tensor:
    logits = predict(target[:, :-1]).transpose(1, 2)
    return nn.CrossEntropyLoss(ignore_index=padding)(logits, target[:, 1:])  # type: ignore[no-any-return]


def loss_by_package(predict: Answer, target: Tensor, padding: int) -> Tensor:
    if padding != 0:
        return loss_by_transpose(predict, target, padding)
    return loss_of(lambda _, given: predict(given), target, target)  # type: ignore[arg-type]


def greedy_in_lists(
    predict: Answer, rows: int, start: int, end: int, padding: int, longest: int
) -> Tensor:
    said: list[list[int]] = [[] for _ in range(rows)]
    while len(said[0]) < longest and not all(end in row for row in said):
        logits = predict(torch.tensor([[start, *row] for row in said]))
        for row, number in zip(said, logits[:, -1].argmax(-1).tolist(), strict=True):
            row.append(padding if end in row else number)
    return torch.tensor(said)


def greedy_in_place(
    predict: Answer, rows: int, start: int, end: int, padding: int, longest: int
) -> Tensor:
    target = torch.full((rows, longest + 1), padding)
    target[:, 0] = start
    running = torch.ones(rows, dtype=torch.bool)
    for place in range(1, longest + 1):
        best = predict(target[:, :place])[:, -1].max(-1).indices
        target[running, place] = best[running]
        running &= best != end
        if not running.any():
            return target[:, 1 : place + 1]
    return target[:, 1:]


RIGHT: list[tuple[str, Answer]] = [
    ("sliced_heads.reads", reads_by_jacobian),
    ("sliced_heads.reads", reads_by_noise),
    ("sliced_heads.block_diagonal", lambda weights: torch.block_diag(*weights)),
    ("sliced_heads.block_diagonal", blocks_by_einsum),
    ("sliced_heads.module", SlicedByEinsum),
    ("sliced_heads.module", SlicedByGroups),
    ("fused_heads.thirds", thirds_by_view),
    ("fused_heads.merge", merge_in_logarithms),
    ("fused_heads.blocked", blocked_by_chunks),
    ("fused_heads.blocked", blocked_in_two_passes),
    ("fused_heads.forward", forward_by_package),
    ("fused_heads.forward", forward_by_hand),
    ("transformer.padding_mask", padding_by_comparison),
    ("transformer.decoder_mask", decoder_by_places),
    ("transformer.decoder_mask", decoder_by_minus),
    ("transformer.positions", marks_by_exponential),
    ("transformer.positions", marks_by_phase),
    ("transformer.positions", lambda marked, width: positions(31, width)[marked]),
    ("transformer.loss", loss_by_log_softmax),
    ("transformer.loss", loss_by_transpose),
    ("transformer.loss", loss_by_package),
    ("transformer.greedy", greedy_in_lists),
    ("transformer.greedy", greedy_in_place),
]


def interleaved(projected: Tensor, num_heads: int) -> tuple[Tensor, ...]:
    parts = projected.chunk(num_heads, dim=-1)
    return tuple(torch.stack([part.chunk(3, -1)[i] for part in parts], dim=1) for i in range(3))


def drops_always(
    x: Tensor, in_weight: Tensor, out_weight: Tensor, num_heads: int, attn_mask: Any = None,
    is_causal: bool = False, dropout: float = 0.0, training: bool = False,
) -> Tensor:  # fmt: skip
    return forward_by_package(
        x, in_weight, out_weight, num_heads, attn_mask, is_causal, dropout, training=True
    )


# Mistakes in another style than the specimens'.
WRONG: list[tuple[str, str, Answer]] = [
    ("sliced_heads.module", "shared_layer", OneSmallHead),
    ("sliced_heads.module", "batch_first_forgotten", SlicedAcrossSamples),
    ("fused_heads.thirds", "qkv_interleaved", interleaved),
    ("fused_heads.forward", "dropout_in_eval", drops_always),
    (
        "fused_heads.blocked",
        "table_kept_whole",
        lambda q, k, v, block: (q @ k.T).div(q.shape[1] ** 0.5).softmax(1) @ v,
    ),
    (
        "transformer.decoder_mask",
        "causal_mask_shifted",
        lambda tokens, padding: (
            torch.triu(torch.ones(2 * [tokens.shape[1]])).bool()
            & (tokens != padding)[:, None, None]
        ),
    ),
    (
        "transformer.loss",
        "target_not_shifted",
        lambda predict, target, padding: F.nll_loss(
            predict(target).log_softmax(-1).flatten(0, 1), target.flatten(), ignore_index=padding
        ),
    ),
    (
        "transformer.positions",
        "positions_exponent_doubled",
        lambda marked, width: torch.stack(
            [
                (torch.cos if j % 2 else torch.sin)(marked / 10000 ** (2 * j / width))
                for j in range(width)
            ],
            dim=1,
        ),
    ),
]
