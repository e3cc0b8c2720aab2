"""Mistakes in what weights are used for, and in what is changed. Wrong on purpose."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.checks.engine.attention import Attention
from cleanformer_lite.checks.engine.references import attention
from cleanformer_lite.checks.mistake import mistake
from cleanformer_lite.copy_weights import copy_weights
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention
from cleanformer_lite.split_heads import SplitMultiHeadAttention


@torch.no_grad()
def _copy_value_from_key(looped: nn.Module, split: SplitMultiHeadAttention) -> None:
    copy_weights(looped, split)
    split.v_proj.load_state_dict(split.k_proj.state_dict())


@mistake(
    cause="the values are made by the key's projection",
    symptom="it runs and learns; one projection never gets a gradient",
    thread="yflyzhang/AnnotatedTransformer#1",
    hints=(
        "Which of your weights have a gradient after `backward()`?",
        "Read the line that makes `value`, letter by letter.",
        "Use the value's own projection there.",
    ),
)
class ValueUsesKey(Attention):
    """The values are the keys."""

    is_tied = True
    forms = {
        "single_head.attention": (
            lambda query, key, value, attn_mask=None: attention(query, key, key, attn_mask),
        ),
        "split_heads.from_loop": (_copy_value_from_key,),
    }

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, _ = super().project(x)
        return query, key, key


class _Unmixed(nn.Module):
    """Sliced heads, and nothing after them."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.inner = SlicedMultiHeadAttention(embed_dim, num_heads, bias=False)
        self.inner.register_module("out_proj", nn.Identity())

    def forward(self, x: Tensor) -> Any:
        return self.inner(x, need_weights=True)


@mistake(
    cause="the heads are concatenated, and nothing mixes them",
    symptom="it runs; each output feature comes from one head alone",
    thread="Kyubyong/transformer#117",
    hints=(
        "Count your weight matrices. The paper has four.",
        "Look at what happens after the heads are side by side.",
        "`return self.out_proj(merged)`, with `out_proj = nn.Linear(embed_dim, embed_dim)`.",
    ),
)
class NoOutputProjection(Attention):
    """Concatenates the heads and stops."""

    uses_out = False
    forms = {"sliced_heads.module": (_Unmixed,)}

    def out(self, x: Tensor) -> Tensor:
        return x


@mistake(
    cause="dropout is left on in evaluation mode",
    symptom="two calls in `eval()` disagree",
    thread="huggingface/pytorch-image-models#1978",
    hints=(
        "Call the module twice after `module.eval()`, with `dropout=0.5`.",
        "A function does not know whether your module is training. Which of yours drops weights?",
        "`F.dropout(weights, p, self.training)`; for SDPA `dropout_p=p if self.training else 0.0`.",
    ),
    by_values=False,
    tells=lambda evidence, failed: "dropout_off_in_eval" in failed,
    explains=frozenset({"dropout_off_in_eval"}),
)
class DropoutInEval(Attention):
    """Drops weights in evaluation mode too."""

    def drop(self, weights: Tensor) -> Tensor:
        return F.dropout(weights, self.dropout, training=True)


@mistake(
    cause="an operation with a trailing underscore, `+=` or `/=` works on the caller's tensor",
    symptom="the caller's input is another one after the call",
    hints=(
        "Print your input before and after.",
        "Look for `mul_`, `+=`, `/=` or an assignment to `x[...]`.",
        "Write `x = x * 2` instead of `x *= 2`: that makes a new tensor.",
    ),
    by_values=False,
    tells=lambda evidence, failed: "input_unchanged" in failed,
)
class InputChangedInPlace(Attention):
    """Works on the caller's tensor."""

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        projected = super().project(x.clone())
        x.mul_(0.5)
        return projected
