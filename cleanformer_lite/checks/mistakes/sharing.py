"""Mistakes in what makes query, key and value, and what becomes of heads. Wrong on purpose."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.attention import Attention, AttentionModule
from cleanformer_lite.checks.engine.equality import heads_share
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.engine.layouts import Projections
from cleanformer_lite.checks.engine.parameters import (
    matrices,
    parameters_before_output,
    reads_whole_input,
)
from cleanformer_lite.checks.engine.properties import heads_changed_by
from cleanformer_lite.checks.engine.trials import LARGE
from cleanformer_lite.checks.mistake import mistake, variant_of
from cleanformer_lite.checks.mistakes.layers import OF_ANOTHER_COUNT, Pair
from cleanformer_lite.split_heads import merge_heads, split_heads

OF_ONE_HEAD = frozenset(
    {
        *("parameter_count", "gradients_reach_all", "every_weight_moves", "equal_to_torch"),
        "dropout_falls_on_weights",
    }
)


@mistake(
    cause="all heads share the keys of one",
    symptom="it trains, with less to tell the heads apart",
    thread="lucidrains/audiolm-pytorch#99",
    hints=(
        "Which weights move the map of the last head?",
        "Look at the keys: how many heads' keys do you make, and which of them does a head use?",
        "Make E numbers of keys and split them as the queries are, or index them by the head.",
    ),
    tells=lambda evidence, failed: heads_share(evidence, "key"),
    explains=OF_ONE_HEAD,
)
class OneKeyHead(nn.Module):
    """Makes the keys of one head, as multi-query attention does."""

    forms = {
        "looped_heads.run": (
            lambda x, q, k, v: references.run_heads(x, q, k[:1].expand_as(k), v),
            lambda x, q, k, v: references.run_heads(x, q, k[:1].expand_as(k), v[:1].expand_as(v)),
        ),
    }

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.q_proj, self.v_proj, self.out_proj = (nn.Linear(embed_dim, embed_dim) for _ in "qvo")
        self.k_proj = nn.Linear(embed_dim, embed_dim // num_heads)

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> tuple[Tensor, Tensor]:
        heads = (*x.shape[:2], self.num_heads, -1)
        query = self.q_proj(x).view(heads).transpose(1, 2)
        value = self.v_proj(x).view(heads).transpose(1, 2)
        key = self.k_proj(x).unsqueeze(1).expand(query.shape)
        allowed = references.join_masks(x.shape[1], attn_mask, is_causal)
        _, weights = references.attention(query, key, value, allowed)
        mixed = F.dropout(weights, self.dropout, self.training) @ value
        return self.out_proj(references.merge_heads(mixed)), weights


@mistake(
    cause="query and key come from one projection, or all three do",
    symptom="it trains; scores are alike both ways, and a token likes itself best",
    hints=(
        "Which of your weights have a gradient after `backward()`?",
        "Compare the score of token 0 for token 1 with that of token 1 for token 0.",
        "Three projections: `self.q_proj(x)`, `self.k_proj(x)`, `self.v_proj(x)`.",
    ),
)
class KeyUsesQuery(Attention):
    """The keys are the queries."""

    tied = "key is query"

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, _, value = super().project(x)
        return query, query, value


@variant_of(KeyUsesQuery)
class AllUseOneProjection(Attention):
    """One projection makes all three."""

    tied = "all"

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, _, value = super().project(x)
        return value, value, value


def _one_head_reaches_the_output(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    """Count the weights that a gradient reaches when there is one token, its first feature zero."""
    gradients = [gradient for _, gradient in matrices(evidence, evidence.observed.gradients.one)]
    found = sum(int((g != 0).sum()) for g in gradients if g is not None)
    width, one = LARGE.embed_dim, LARGE.head_dim
    whole = evidence.observed.registered.numbers >= 4 * width**2
    return whole and found == one * (width - 1) + width * one and "heads_differ" not in failed


@mistake(
    cause="one head's result alone reaches the output, as where a loop overwrites what came before",
    symptom="it trains as one head would; most of the weights never move",
    hints=(
        "Which of your weights have a gradient after `backward()`?",
        "What does your loop keep of a head when the next one comes?",
        "`outputs.append(output)` in the loop, `torch.cat(outputs, dim=-1)` behind it.",
    ),
    tells=_one_head_reaches_the_output,
    explains=OF_ONE_HEAD | {"heads_are_independent"},
)
class OnlyLastHead(Attention):
    """Forgets all heads but the last."""

    shows_in_values = False

    forms = {
        "looped_heads.join": (lambda outputs: outputs[-1],),
        "split_heads.merge": (lambda x: x[:, -1],),
    }

    def merge(self, x: Tensor) -> Tensor:
        left = torch.zeros_like(x)
        left[:, -1] = x[:, -1]
        return super().merge(left)


@mistake(
    cause="the input is added to the output inside the module",
    symptom="it trains; where a block adds the input as well, it is added twice",
    hints=(
        "Set all weights to zero. What does your module return?",
        "Where does the residual connection belong: in attention, or around it?",
        "Return `self.out_proj(merged)` alone; the block does the adding.",
    ),
)
class ResidualInside(Attention):
    """Adds the input."""

    def around(self, output: Tensor, x: Tensor) -> Tensor:
        return output + x


@mistake(
    cause="heads are never moved before the positions: scores compare the heads of one position",
    symptom="maps are H wide, tokens do not see each other, and no mask fits",
    hints=(
        "Which shape have your scores? Which one is `(N, H, L, S)`?",
        "A product of matrices works on the last two axes. Which two are these in yours?",
        "`x.view(N, L, num_heads, head_dim).transpose(1, 2)`: positions stand third.",
    ),
    may_differ=(
        *("padded", "padded_changed", "padded_alone", "per_head", "blind"),
        *("causal_padded", "causal", "causal_changed"),
    ),
)
class HeadsNotTransposed(Attention):
    """Leaves `(N, L, H, D)` as it is."""

    not_in = ("split_heads.merge", "looped_heads.join", "fused_heads.forward")

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, -1)

    def merge(self, x: Tensor) -> Tensor:
        return x.flatten(2)


def _a_slice_for_each_head(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    if not evidence.contract.weights:
        square, width = LARGE.head_dim**2, LARGE.head_dim
        small = (
            parameters_before_output(evidence, 3 * n * square, 3 * n * width)
            for n in (1, LARGE.num_heads)
        )
        return any(small) and not reads_whole_input(evidence)
    heads = torch.arange(LARGE.num_heads)
    return all(
        bool((heads_changed_by(evidence, name) == (heads == owner)).all())
        for name, owner in (("nudge_first", 0), ("nudge_last", LARGE.num_heads - 1))
    )


@mistake(
    cause="the input is cut into parts first, and each part is projected by itself",
    symptom="it learns with less capacity: a head sees its part of the input alone",
    thread="pbloem/former#13",
    hints=(
        "Change one input feature. How many heads notice?",
        "Compare the order of `view` and `nn.Linear` in your code.",
        "Project with `nn.Linear(embed_dim, embed_dim)`, and split the result.",
    ),
    tells=_a_slice_for_each_head,
    explains=OF_ANOTHER_COUNT | {"every_head_sees_every_feature"},
)
class SplitBeforeProjection(nn.Module):
    """Cuts the input in parts, and sends every part through one small projection."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = nn.Dropout(dropout)
        width = embed_dim // num_heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        part = split_heads(x, self.num_heads)
        allowed = references.join_masks(x.shape[1], attn_mask, is_causal)
        query, key, value = self.q_proj(part), self.k_proj(part), self.v_proj(part)
        _, weights = references.attention(query, key, value, allowed)
        return self.out_proj(merge_heads(self.dropout(weights) @ value)), weights


def _one_bias_too_many(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    biases = evidence.observed.registered.numbers - 4 * LARGE.embed_dim**2
    return 4 * LARGE.embed_dim < biases <= 8 * LARGE.embed_dim and biases % LARGE.embed_dim == 0


@mistake(
    cause="a bias is added to numbers that have one from their layer already",
    symptom="right results, and more numbers to learn than needed: two biases act as their sum",
    hints=(
        "List `named_parameters()`, and add up the biases. How many numbers do they have?",
        "Which numbers get a bias twice: once in their layer, and once after the split?",
        "Keep one of the two: `nn.Linear(..., bias=False)`, or no bias of your own.",
    ),
    tells=_one_bias_too_many,
    explains=frozenset({"parameter_count"}),
)
class BiasTwice(AttentionModule):
    """Adds a bias for each head to queries that have one."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__(embed_dim, num_heads, dropout)
        self.head_bias = nn.Parameter(torch.zeros(num_heads, embed_dim // num_heads))

    def projections(self) -> Projections:
        """Add the second bias to the first."""
        found = super().projections()
        return replace(found, query_bias=found.query_bias + self.head_bias.flatten())
