"""Mistakes in what the gradient reaches. Wrong on purpose."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.mistake import mistake


def _detached(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Give right values without a gradient."""

    def run(*given: Any, **named: Any) -> Any:
        with torch.no_grad():
            return answer(*given, **named)

    return run


def _weights_detached(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    _, weights = references.attention(query, key, value, attn_mask)
    return weights.detach() @ value, weights


def _logits_detached(predict: Any, target: Tensor, padding: int) -> Tensor:
    logits = predict(target[:, :-1]).detach()
    return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=padding)


OF_LOST_GRADIENTS = frozenset(
    {
        "gradients_reach_all",
        "every_weight_moves",
        "heads_are_independent",
        "equal_to_torch",
        "dropout_falls_on_weights",
    }
)


def _used_without_gradient(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    return evidence.observed.cut > 0 and "every_weight_moves" in failed


@mistake(
    cause="`detach`, `no_grad`, numpy or a new tensor cuts the result off from its weights",
    symptom="values are right, and what is cut off never learns",
    thread="bboylyg/NAD#8",
    hints=(
        "Call `backward()`, and look at the gradient of every weight.",
        "Look for `detach()`, `no_grad()`, `.data`, `.numpy()`, `.item()`, `torch.tensor(...)`.",
        "Compute with tensors from beginning to end, outside `torch.no_grad()`.",
    ),
    tells=_used_without_gradient,
    explains=OF_LOST_GRADIENTS,
)
class GradientLost(nn.Module):
    """Projects under `no_grad`."""

    forms = {
        "single_head.scores": (_detached(references.scores),),
        "single_head.mask": (_detached(references.masked_softmax),),
        "single_head.attention": (_detached(references.attention), _weights_detached),
        "looped_heads.join": (_detached(references.join_heads),),
        "looped_heads.run": (_detached(references.run_heads),),
        "split_heads.split": (_detached(references.split_heads),),
        "split_heads.merge": (_detached(references.merge_heads),),
        "sliced_heads.block_diagonal": (_detached(references.block_diagonal),),
        "fused_heads.thirds": (_detached(references.split_projection),),
        "fused_heads.forward": (_detached(references.fused_forward),),
        "transformer.loss": (
            _logits_detached,
            _detached(references.next_piece_loss),
            lambda *given: references.next_piece_loss(*given).item(),
        ),
    }

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.in_proj = nn.Linear(embed_dim, 3 * embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            query, key, value = references.split_projection(self.in_proj(x), self.num_heads)
        allowed = references.join_masks(x.shape[1], attn_mask, is_causal)
        _, weights = references.attention(query, key, value, allowed)
        mixed = F.dropout(weights, self.dropout, self.training) @ value
        return self.out_proj(references.merge_heads(mixed)), weights
