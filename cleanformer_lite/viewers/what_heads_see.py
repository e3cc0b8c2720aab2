"""Move one number of the input, and see which heads react in either family."""

from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor

from cleanformer_lite.split_heads import SplitMultiHeadAttention
from cleanformer_lite.viewers.mount import Viewer, script_of, table

MOST_FEATURES, MOST_TOKENS = 24, 8
DIGITS = 6  # so that what JavaScript computes agrees with torch to 1e-5


class WhatHeadsSee(Viewer):
    """The maps of every head, project-then-split beside split-then-project.

    Both families use the same numbers; in the second, a head has weights for its own columns alone.

    Traits: `tokens` L; `x` `(L, E)`; `q_weight`, `k_weight` `(E, E)`; `q_bias`, `k_bias` `(E,)`;
        `heads` H; the number that is moved, by its `place` and `feature`, and by how much: `nudge`.
    """

    _esm = script_of("what_heads_see")
    title = "Move one number of the input: which heads react?"
    shown = (
        "tokens", "x", "q_weight", "q_bias", "k_weight", "k_bias", "heads",
        "place", "feature", "nudge",
    )  # fmt: skip
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    x: Any = traitlets.List().tag(sync=True)
    q_weight: Any = traitlets.List().tag(sync=True)
    q_bias: Any = traitlets.List().tag(sync=True)
    k_weight: Any = traitlets.List().tag(sync=True)
    k_bias: Any = traitlets.List().tag(sync=True)
    heads = traitlets.Int().tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)
    feature = traitlets.Int(0).tag(sync=True)
    nudge = traitlets.Float(0.0).tag(sync=True)

    @traitlets.validate("place", "feature")
    def _check_index(self, proposal: dict[str, Any]) -> int:
        length = len(self.x) if proposal["trait"].name == "place" else len(self.q_bias)
        index = int(proposal["value"])
        if not 0 <= index < length:
            raise ValueError(
                f"wanted a {proposal['trait'].name} from 0 to {length - 1}, got {index}"
            )
        return index

    def static(self) -> str:
        width = len(self.q_bias) // self.heads
        everything = f"all, 0 to {len(self.q_bias) - 1}"
        rows = [
            [f"head {head}", everything, f"{head * width} to {(head + 1) * width - 1}"]
            for head in range(self.heads)
        ]
        columns = ["", "project, then split", "split, then project"]
        return table("The numbers of the input that a head reads", columns, rows)


def nudge_input(
    attention: SplitMultiHeadAttention, x: Tensor, tokens: Sequence[str]
) -> WhatHeadsSee:
    """Show how each head's weights move when one number of the input does.

    Shapes: x `(L, E)` or `(1, L, E)`, tokens L.

    Raises: ValueError if shapes and tokens do not fit together, a number is not finite, or it is
        all too large to be seen.
    """
    x = x[0] if x.dim() == 3 and x.shape[0] == 1 else x
    embed_dim = attention.embed_dim
    if x.dim() != 2 or x.shape[1] != embed_dim or len(x) == 0:
        raise ValueError(f"wanted x of shape (L, {embed_dim}), got {tuple(x.shape)}")
    if len(tokens) != len(x):
        raise ValueError(
            f"wanted {len(x)} tokens for x of shape {tuple(x.shape)}, got {len(tokens)}"
        )
    if embed_dim > MOST_FEATURES or len(x) > MOST_TOKENS:
        raise ValueError(
            f"wanted at most {MOST_TOKENS} tokens of {MOST_FEATURES} numbers, got {tuple(x.shape)}"
        )
    query, key = attention.q_proj, attention.k_proj
    return WhatHeadsSee(
        tokens=[str(token) for token in tokens],
        x=numbers(x),
        q_weight=numbers(query.weight),
        q_bias=numbers(torch.zeros(embed_dim) if query.bias is None else query.bias),
        k_weight=numbers(key.weight),
        k_bias=numbers(torch.zeros(embed_dim) if key.bias is None else key.bias),
        heads=attention.num_heads,
    )


def numbers(tensor: Tensor) -> list[Any]:
    """Return a tensor as nested lists of rounded numbers.

    Raises: ValueError for NaN or infinity.
    """
    if not tensor.isfinite().all():
        raise ValueError("wanted finite numbers, got NaN or infinity among them")
    rounded: list[Any] = tensor.detach().to("cpu", torch.float64).round(decimals=DIGITS).tolist()
    return rounded
