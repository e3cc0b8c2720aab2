"""Exercise: the whole forward pass of fused heads, weights given."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.equality import one_by_one
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.trials import draw
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import known_in


class StrictKernel(TorchFunctionMode):
    """Have PyTorch's kernel refuse a mask beside `is_causal` on a CPU too, as documented."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        mask = args[3] if len(args) > 3 else given.get("attn_mask")
        is_causal = args[5] if len(args) > 5 else given.get("is_causal")
        if func is F.scaled_dot_product_attention and mask is not None and is_causal:
            raise RuntimeError(BOTH_REFUSED)
        return func(*args, **given)


BOTH_REFUSED = "Explicit attn_mask should not be set when is_causal=True"


def with_dropout(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return what an answer returns; with dropout, what can be told of it whatever is drawn."""

    def run(*given: Any) -> Any:
        with StrictKernel():
            output = answer(*given)
            dropout, training = given[6:] or (0.0, False)
            if not dropout or not isinstance(output, Tensor):
                return output
            agree = bool(torch.equal(output, answer(*given)))
        seen: dict[str, Any] = {"two calls agree": agree}
        if not training:
            return {**seen, "output": output} if agree else seen
        return seen | (dropped_shares(output, *given) if given[0].std(dim=1).max() == 0 else {})

    return run


def dropped_shares(
    output: Tensor, x: Tensor, in_weight: Tensor, out_weight: Tensor, num_heads: int,
    attn_mask: Tensor | None, is_causal: bool, dropout: float, training: bool,
) -> dict[str, bool]:  # fmt: skip
    """Tell what was dropped where all tokens are alike and the last matrix changes nothing.

    Then each head's output is its value times the share that is left of its weights: a whole number
    of keys, each scaled up by `1 / (1 - dropout)`.
    """
    batch, length, embed_dim = x.shape
    if output.shape != x.shape:
        return {"heads lose whole weights": False}
    value = (x[0, 0] @ in_weight[2 * embed_dim :].t()).view(num_heads, -1)  # (H, D)
    heads = output.view(batch, length, num_heads, -1)
    share = (heads * value).sum(dim=-1) / (value * value).sum(dim=-1)  # (N, L, H)
    apart = (heads - share[..., None] * value).abs().max()
    allowed = torch.ones(length, length, dtype=torch.bool)
    allowed = allowed.tril() if is_causal else allowed
    allowed = allowed if attn_mask is None else allowed & attn_mask
    keys = allowed.sum(dim=-1)[:, None]  # (L, 1), for shares (N, L, H)
    kept = share * keys * (1 - dropout)
    whole = bool(((kept - kept.round()).abs() < 1e-2).all() and (kept < keys + 1e-2).all())
    left = float(kept.sum() / keys.expand(kept.shape).sum())
    alike = kept[:, keys[:, 0] == keys.max()].round()  # queries that may attend to as many keys
    return {
        "weights are dropped one by one": one_by_one(alike, int(keys.max())),
        "heads lose whole weights": bool(apart < 1e-3 * value.abs().max()),
        "kept weights are divided by 1 - p": whole,
        "so many are dropped": whole and abs(left - (1 - dropout)) < 0.1,
    }


def forward_case(
    name: str, fails: str, sizes: tuple[int, int, int, int], allowed: list[list[int]] | None = None,
    *, is_causal: bool = False, dropout: float = 0.0, training: bool = False, alike: bool = False,
) -> Case:  # fmt: skip
    """A case of `fused_forward`: sizes are N, L, H, D; what is not given has its default.

    `alike` makes all tokens one token, and the last matrix the identity.
    """
    batch, length, heads, width = sizes
    small = sizes == SMALL

    def make(generator: Generator) -> Arguments:
        embed_dim = heads * width
        factor = 1.0 if small else embed_dim**-0.5
        made: Arguments = {
            "x": draw(generator, batch, length, embed_dim, by_hand=small),
            "in_weight": factor * draw(generator, 3 * embed_dim, embed_dim, by_hand=small),
            "out_weight": factor * draw(generator, embed_dim, embed_dim, by_hand=small),
            "num_heads": heads,
        }
        if alike:
            one = 1.0 + draw(generator, 1, 1, embed_dim, by_hand=False).abs()
            made |= {"x": one.expand(batch, length, embed_dim).clone()}
            made |= {"out_weight": torch.eye(embed_dim)}
        if allowed or is_causal or dropout:
            made |= {"attn_mask": None if allowed is None else references.mask(allowed)}
            made |= {"is_causal": is_causal}
        return made | ({"dropout": dropout, "training": training} if dropout else {})

    return Case(name, fails, make, gradient=not small and not dropout)


SMALL, LARGE = (1, 2, 2, 1), (2, 5, 3, 7)
PADDED = [[1, 1, 1, 1, 0]] * 5
BLIND = [[0, 0, 0, 0, 0], *[[1, 1, 0, 1, 1]] * 4]


def _low_forward(generator: Generator) -> Arguments:
    """A case of `fused_forward` in which the one allowed score is far below zero."""
    eye = torch.eye(2)
    return {
        "x": torch.tensor([[[6.0, 6.0], [5.0, 5.0]]]),
        "in_weight": torch.cat([eye, -eye, eye]),
        "out_weight": eye,
        "num_heads": 2,
        "attn_mask": references.mask([[1, 0], [1, 1]]),
    }


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
        "attend to nothing gets zeros. Weights are dropped only in training."
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
            Case("low", "any_scores", _low_forward),
            forward_case("both", "masks_combine", LARGE, PADDED, is_causal=True),
            forward_case("blind", "finite_gradients", LARGE, BLIND),
            forward_case("eval", "dropout_off_in_eval", LARGE, dropout=0.5),
            forward_case("train", "dropout_on_in_training", LARGE, dropout=0.5, training=True),
            forward_case(
                *("rate", "dropout_falls_on_weights", (12, 7, 3, 5)),
                dropout=0.25,
                training=True,
                alike=True,
            ),
            forward_case(
                *("all_three", "masks_and_dropout_combine", (12, 5, 3, 7), PADDED),
                is_causal=True,
                dropout=0.25,
                training=True,
                alike=True,
            ),
        ),
        reference=references.fused_forward,
        mistakes=known_in("fused_heads.forward"),
        adapt=with_dropout,
    ),
)

EXERCISES = (FORWARD,)
