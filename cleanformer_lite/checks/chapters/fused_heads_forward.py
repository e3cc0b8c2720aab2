"""Exercise: the whole forward pass of fused heads, weights given."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from cleanformer_lite.checks.chapters import plain
from cleanformer_lite.checks.chapters.fused_heads_thirds import (
    INTERLEAVED,
    Heads,
    thirds,
    without_transpose,
)
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.probes import draw


def forward(
    x: Tensor,
    in_weight: Tensor,
    out_weight: Tensor,
    num_heads: int,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    dropout: float = 0.0,
    training: bool = False,
) -> Tensor:
    """Attend with plain sums, head by head."""
    query, key, value = thirds(x @ in_weight.t(), num_heads)
    allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
    allowed = allowed.tril() if is_causal else allowed
    allowed = allowed if attn_mask is None else allowed & attn_mask
    _, weights = plain.attention(query, key, value, allowed)
    output = F.dropout(weights, dropout, training) @ value
    return torch.cat(output.unbind(1), dim=-1) @ out_weight.t()


def changed(
    heads: Heads = thirds, *, mask: Callable[[Tensor], Tensor] = lambda mask: mask,
    causal_with_mask: bool = True, low: float = -1e9, zero: bool = True, merge: bool = True,
    always_drops: bool = False, by_embed_dim: bool = False, turned: bool = False,
    added: bool = False,
) -> Callable[..., Tensor]:  # fmt: skip
    """SPECIMEN: the right forward pass by PyTorch's operators, with one setting changed."""

    def attend(
        x: Tensor, in_weight: Tensor, out_weight: Tensor, num_heads: int,
        attn_mask: Tensor | None = None, is_causal: bool = False, dropout: float = 0.0,
        training: bool = False,
    ) -> Tensor:  # fmt: skip
        query, key, value = heads(F.linear(x, in_weight), num_heads)
        allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
        if is_causal and (attn_mask is None or causal_with_mask):
            allowed = allowed.tril()
        if attn_mask is not None:
            allowed = allowed & mask(attn_mask)
        factor = (x if by_embed_dim else query).shape[-1] ** -0.5
        scores = query @ key.transpose(-2, -1) * factor
        blocked = torch.zeros(allowed.shape).masked_fill(~allowed, low)
        scores = scores + blocked if added else scores.masked_fill(~allowed, low)
        weights = torch.softmax(scores, dim=-1)
        weights = weights.masked_fill(~allowed.any(-1, keepdim=True), 0.0) if zero else weights
        output = F.dropout(weights, dropout, training or always_drops) @ value
        output = output.transpose(1, 2) if merge else output
        return output.reshape(x.shape) @ (out_weight if turned else out_weight.t())

    return attend


def twice(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return what an answer returns; with dropout, what two calls have in common."""

    def run(*given: Any) -> Any:
        output = answer(*given)
        dropout, training = given[6:] or (0.0, False)
        if not dropout or not isinstance(output, Tensor):
            return output
        agree = bool(torch.equal(output, answer(*given)))
        seen = {"two calls agree": agree}
        return seen if training or not agree else {**seen, "output": output}

    return run


def forward_case(
    name: str, fails: str, sizes: tuple[int, int, int, int], rows: list[list[int]] | None = None,
    *, is_causal: bool = False, dropout: float = 0.0, training: bool = False,
) -> Case:  # fmt: skip
    """A case of `fused_forward`: sizes are N, L, H, D; what is not given has its default."""
    batch, length, heads, width = sizes
    small = name.startswith("tiny")

    def make(generator: Generator) -> Arguments:
        embed_dim = heads * width
        factor = 1.0 if small else embed_dim**-0.5
        made: Arguments = {
            "x": draw(generator, batch, length, embed_dim, by_hand=small),
            "in_weight": factor * draw(generator, 3 * embed_dim, embed_dim, by_hand=small),
            "out_weight": factor * draw(generator, embed_dim, embed_dim, by_hand=small),
            "num_heads": heads,
        }
        if rows or is_causal or dropout:
            made |= {"attn_mask": None if rows is None else plain.mask(rows)}
            made |= {"is_causal": is_causal}
        return made | ({"dropout": dropout, "training": training} if dropout else {})

    return Case(name, fails, make, gradient=not small and not dropout)


SMALL, LARGE = (1, 2, 2, 1), (2, 5, 3, 7)
PADDED = [[1, 1, 1, 1, 0]] * 5
BLIND = [[0, 0, 0, 0, 0], *[[1, 1, 0, 1, 1]] * 4]

FORWARD = Exercise(
    id="fused_heads.forward",
    title="The whole forward pass",
    entry_point="fused_forward",
    prompt=(
        "Write `fused_forward(x, in_weight, out_weight, num_heads, attn_mask=None, "
        "is_causal=False, dropout=0.0, training=False)`. `x` is `(N, L, E)`, `in_weight` "
        "`(3E, E)`, `out_weight` `(E, E)`, as `nn.Linear` keeps them; the result is `(N, L, E)`. "
        "Attend with `F.scaled_dot_product_attention`. The mask is boolean, True = may attend, "
        "broadcastable to `(N, H, L, L)`, and may come together with `is_causal`. A query that may "
        "attend to nothing gets zeros. Weights are dropped in training alone."
    ),
    starter=(
        "def fused_forward(x, in_weight, out_weight, num_heads,\n"
        "                  attn_mask=None, is_causal=False, dropout=0.0, training=False):\n"
        "    raise NotImplementedError\n"
    ),
    hints=(
        "Project, cut, one call, merge, project. Then read what the call does not do for you.",
        "It knows nothing of train and eval. It takes a mask or `is_causal`, not both. And not "
        "every backend gives zeros where a row of the mask is False throughout.",
        "`dropout_p=dropout if training else 0.0`; `attn_mask & causal` where both are given; let "
        "a row with nothing allowed attend to all, and `masked_fill` its result with 0.",
    ),
    points=4,
    minutes=20,
    difficulty=3,
    probe=FunctionProbe(
        cases=(
            forward_case("tiny", "equal_by_hand", SMALL),
            forward_case("tiny_mask", "masked_keys_get_nothing", SMALL, [[1, 0], [1, 1]]),
            forward_case("tiny_blind", "blind_rows_are_zero", SMALL, [[0, 0], [1, 1]]),
            forward_case("large", "any_sizes", LARGE),
            forward_case("causal", "causality", LARGE, is_causal=True),
            forward_case("both", "masks_combine", LARGE, PADDED, is_causal=True),
            forward_case("blind", "finite_gradients", LARGE, BLIND),
            forward_case("eval", "dropout_off_in_eval", LARGE, dropout=0.5),
            forward_case("train", "dropout_on_in_training", LARGE, dropout=0.5, training=True),
        ),
        reference=forward,
        mistakes={
            "dropout_in_eval": (changed(always_drops=True),),
            "qkv_interleaved": tuple(changed(heads) for heads in INTERLEAVED),
            "split_without_transpose": (changed(without_transpose),),
            "merge_without_transpose": (changed(merge=False),),
            "causal_mask_shifted": (changed(causal_with_mask=False),),
            "mask_inverted": (changed(mask=lambda mask: ~mask),),
            "scaled_by_embed_dim": (changed(by_embed_dim=True),),
            "linear_transposed": (changed(turned=True),),
            "nan_rows": (
                changed(low=-torch.inf, zero=False),
                changed(low=-torch.inf, added=True),
                changed(low=-torch.inf, added=True, zero=False),
            ),
            "mean_rows": (changed(zero=False),),
        },
        adapt=twice,
    ),
)
