"""Mistakes in projections, dropout, and what a call may change. Wrong on purpose."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.checks.engine.attention import Attention
from cleanformer_lite.checks.engine.properties import shares_are_of_two
from cleanformer_lite.checks.engine.references import attention
from cleanformer_lite.checks.mistake import mistake, variant_of
from cleanformer_lite.copy_weights import copy_weights
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention
from cleanformer_lite.split_heads import SplitMultiHeadAttention

OF_NONLINEAR = frozenset(
    {
        *("projections_are_linear", "equal_to_torch", "score_scale", "heads_are_independent"),
        *("gradients_reach_all", "every_weight_moves", "dropout_falls_on_weights"),
        *("parameter_count", "parameters_registered"),
    }
)


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

    tied = "value is key"
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
    cause="a nonlinearity or a norm stands between the input and the scores, or behind the values",
    symptom="it trains; weights from elsewhere give nonsense, and half of the numbers may be dead",
    thread="hanxiao/tf-nlp-blocks#1",
    hints=(
        "Add two inputs of one token each. Do their outputs add up?",
        "Which functions does a token go through before it is query, key or value?",
        "Projections are linear and nothing else: `query = self.q_proj(x)`.",
    ),
    tells=lambda evidence, failed: (
        "projections_are_linear" in failed and shares_are_of_two(evidence)
    ),
    explains=OF_NONLINEAR,
    tells_last=True,
)
class NonlinearProjection(Attention):
    """Cuts off below zero."""

    not_in = ("sliced_heads.module",)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (torch.relu(part) for part in super().project(x))
        return query, key, value


@mistake(
    cause="dropout is given a rate and never used",
    symptom="training and evaluation give the same; it overfits as if there were none",
    thread="zhouhaoyi/Informer2020#97",
    hints=(
        "Call the module twice in `train()`, with `dropout=0.5`.",
        "Where in `forward` do you use what `__init__` made of `dropout`?",
        "`weights = F.dropout(weights, self.dropout, self.training)`, before the values are mixed.",
    ),
    tells=lambda evidence, failed: "dropout_on_in_training" in failed,
    explains=frozenset({"dropout_on_in_training", "dropout_falls_on_weights"}),
)
class DropoutUnused(Attention):
    """Drops nothing."""

    shows_in_values = False

    def drop(self, weights: Tensor) -> Tensor:
        return weights


@mistake(
    cause="dropout falls on something else than single weights, such as scores, values or output, "
    "or at another rate",
    symptom="right in evaluation; in training other numbers are missing than were meant",
    thread="PaddlePaddle/Parakeet#74",
    hints=(
        "Let all tokens be alike, train, and look at one head: which shares are left?",
        "What do you hand to dropout: scores, weights, values, or the result?",
        "`self.dropout(weights) @ value`, after the softmax, at the rate asked for.",
    ),
    tells=lambda evidence, failed: "dropout_falls_on_weights" in failed,
    explains=frozenset({"dropout_falls_on_weights", "every_weight_moves"}),
    not_in=(
        *("single_head.scores", "single_head.attention", "looped_heads.run"),
        "sliced_heads.module",
    ),
)
class DropoutElsewhere(Attention):
    """Drops scores."""

    shows_in_values = False

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        return F.dropout(super().scores(query, key), self.dropout, self.training)

    def drop(self, weights: Tensor) -> Tensor:
        return weights


@variant_of(DropoutElsewhere)
class DropoutOnOutput(Attention):
    """Drops numbers of the output."""

    shows_in_values = False

    def drop(self, weights: Tensor) -> Tensor:
        return weights

    def out(self, x: Tensor) -> Tensor:
        return F.dropout(super().out(x), self.dropout, self.training)


@variant_of(DropoutElsewhere)
class DropoutOnValues(Attention):
    """Drops numbers of the values."""

    shows_in_values = False

    def drop(self, weights: Tensor) -> Tensor:
        return weights

    def mix(self, weights: Tensor, value: Tensor) -> Tensor:
        return weights @ F.dropout(value, self.dropout, self.training)


@variant_of(DropoutElsewhere)
class DropoutOnBoth(DropoutOnOutput):
    """Drops weights, and numbers of the output."""

    def drop(self, weights: Tensor) -> Tensor:
        return F.dropout(weights, self.dropout, self.training)


@variant_of(DropoutElsewhere)
class DropoutAtAnotherRate(Attention):
    """Takes the share that is kept for the share that is dropped."""

    shows_in_values = False

    def drop(self, weights: Tensor) -> Tensor:
        return F.dropout(weights, self.dropout and 1 - self.dropout, self.training)


@variant_of(DropoutElsewhere)
class DropoutOfWholeMaps(Attention):
    """Drops the map of a head, or leaves it whole."""

    shows_in_values = False

    def drop(self, weights: Tensor) -> Tensor:
        return F.dropout2d(weights, self.dropout, self.training)


@variant_of(DropoutElsewhere)
class DropoutNotScaled(Attention):
    """Leaves the weights that are left as they are."""

    shows_in_values = False

    def drop(self, weights: Tensor) -> Tensor:
        if not self.training:
            return weights
        return weights * (torch.rand_like(weights) >= self.dropout)


@mistake(
    cause="dropout is left on in evaluation mode",
    symptom="two calls in `eval()` disagree",
    thread="huggingface/pytorch-image-models#1978",
    hints=(
        "Call the module twice after `module.eval()`, with `dropout=0.5`.",
        "A function does not know whether your module is training. Which of yours drops weights?",
        "`F.dropout(weights, p, self.training)`; for SDPA `dropout_p=p if self.training else 0.0`.",
    ),
    tells=lambda evidence, failed: "dropout_off_in_eval" in failed,
    explains=frozenset({"dropout_off_in_eval"}),
)
class DropoutInEval(Attention):
    """Drops weights in evaluation mode too."""

    shows_in_values = False

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
    tells=lambda evidence, failed: "input_unchanged" in failed,
)
class InputChangedInPlace(Attention):
    """Works on the caller's tensor."""

    shows_in_values = False
    not_in = ("sliced_heads.module",)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        projected = super().project(x.clone())
        x.mul_(0.5)
        return projected
