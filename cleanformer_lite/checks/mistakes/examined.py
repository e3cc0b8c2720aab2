"""Mistakes that no exercise can show; `examine` looks for them. Wrong on purpose."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.checks.mistake import mistake
from cleanformer_lite.split_heads import merge_heads, split_heads


class _Grouped(nn.Module):
    """Attention with half as many heads of keys and values as of queries."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.key_heads = num_heads, num_heads // 2
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim // 2)
        self.v_proj = nn.Linear(embed_dim, embed_dim // 2)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query = split_heads(self.q_proj(x), self.num_heads)  # (N, H, L, D)
        key = split_heads(self.k_proj(x), self.key_heads)  # (N, H / 2, L, D)
        return query, key, split_heads(self.v_proj(x), self.key_heads)


@mistake(
    cause="the queries of a group are added up before they meet their key",
    symptom="a group of heads is one head; shapes are right if the projection after it is narrow",
    hints=(
        "How many maps do you get, and how many heads of queries have you?",
        "Which letter of your `einsum` stands in the query alone, and not in the result?",
        'Keep the group in the result: `einsum("bkgld,bksd->bkgls", query, key)`',
    ),
)
class GroupedHeadsSummed(_Grouped):
    """Leaves the group out of the result of an `einsum`."""

    shown_by_examine = True

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__(embed_dim, num_heads)
        self.out_proj = nn.Linear(embed_dim // 2, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.parts(x)
        grouped = query.unflatten(1, (self.key_heads, -1)) * query.shape[-1] ** -0.5
        scores = torch.einsum("bkgld,bksd->bkls", grouped, key)
        output: Tensor = self.out_proj(merge_heads(scores.softmax(-1) @ value))
        return output


@mistake(
    cause="heads of keys are laid out in turn (0 1 0 1) where they belong in groups (0 0 1 1)",
    symptom="right shapes, and it trains; weights from elsewhere give nonsense",
    thread="onnx/onnx#7274",
    hints=(
        "Number the heads of keys. In which order do they stand beside those of the queries?",
        "Do `repeat` and `repeat_interleave` give the same order? Try them on [0, 1].",
        "`key.repeat_interleave(num_heads // key_heads, dim=1)`, and the same for the values",
    ),
)
class GroupedHeadsTiled(_Grouped):
    """Lays the keys out in turn, and the values in groups."""

    shown_by_examine = True

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.parts(x)
        times = self.num_heads // self.key_heads
        key, value = key.repeat(1, times, 1, 1), value.repeat_interleave(times, dim=1)
        output: Tensor = self.out_proj(
            merge_heads(F.scaled_dot_product_attention(query, key, value))
        )
        return output


@mistake(
    cause="hidden tokens lose their values and stay in the total that is divided by",
    symptom="outputs shrink as padding grows, and what stands in the padding still counts",
    hints=(
        "Let all tokens be equal, and hide one. What should the mean of the others be?",
        "By what do you divide? Which tokens does it count?",
        "Take hidden keys out before anything is added up: `key * keep`, for values and total",
    ),
)
class PaddingInNormalizer(nn.Module):
    """Linear attention that hides the values and leaves the keys."""

    shown_by_examine = True

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(embed_dim, 3 * embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        parts = self.in_proj(x).chunk(3, dim=-1)
        query, key, value = (split_heads(part, self.num_heads) for part in parts)
        query, key = F.elu(query) + 1, F.elu(key) + 1
        if mask is not None:
            value = value * mask[:, None, :, None]
        total = query @ key.sum(dim=-2).unsqueeze(-1)
        output: Tensor = self.out_proj(merge_heads(query @ (key.transpose(-2, -1) @ value) / total))
        return output
