"""Pick heads, switch them off, sharpen them, and read what each token attends to."""

from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor

from cleanformer_lite.viewers.mount import Viewer, script_of, table
from cleanformer_lite.viewers.weights import check_weights

MOST_HEADS, MOST_TOKENS = 32, 64
DIGITS = 6  # so that what JavaScript computes agrees with torch to 1e-5


class HeadExplorer(Viewer):
    """The heads of one layer on one sequence.

    Traits: `tokens` L and `key_tokens` S; `logs` `(H, L, S)`, the logarithms of the weights, None
        where a weight is 0; `head` and `word`, the ones picked; `off`, the heads switched off;
        `temperature`, by which the scores are divided before softmax.

    Raises: ValueError for an index that is not there, or a temperature that is not positive.
    """

    _esm = script_of("head_explorer")
    title = "Attention, head by head"
    shown = ("tokens", "key_tokens", "logs", "head", "word", "off", "temperature")
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    key_tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    logs: Any = traitlets.List().tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    word = traitlets.Int(0).tag(sync=True)
    off = traitlets.List(traitlets.Int()).tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)

    @traitlets.validate("head", "word")
    def _check_index(self, proposal: dict[str, Any]) -> int:
        name, index = proposal["trait"].name, int(proposal["value"])
        size = len(self.logs if name == "head" else self.tokens)
        if not 0 <= index < size:
            raise ValueError(f"wanted a {name} from 0 to {size - 1}, got {index}")
        return index

    @traitlets.validate("temperature")
    def _check_temperature(self, proposal: dict[str, Any]) -> float:
        if not 0.0 < proposal["value"] < float("inf"):
            raise ValueError(f"wanted a temperature above 0, got {proposal['value']}")
        return float(proposal["value"])

    def show(
        self, weights: Tensor, tokens: Sequence[str], key_tokens: Sequence[str] | None = None
    ) -> None:
        """Show other weights, say those of your own sentence; shapes and errors as at first."""
        weights, queries, keys = check_shares(weights, tokens, key_tokens)
        with self.hold_sync(), self.hold_trait_notifications():
            self.tokens, self.key_tokens, self.logs = queries, keys, logs_of(weights)
            self.head = self.word = 0
            self.off = []

    def static(self) -> str:
        rows = []
        for head, weights in enumerate(self.logs):
            for token, row in zip(self.tokens, weights, strict=True):
                log, key = max(
                    (log, i) for i, log in enumerate([-1e9 if v is None else v for v in row])
                )
                share = f"{torch.tensor(log).exp().item():.0%}"
                rows.append([f"head {head}", token, self.key_tokens[key], share])
        return table("What each token reads most", ["head", "token", "reads", "share"], rows)


def explore_heads(
    weights: Tensor, tokens: Sequence[str], *, key_tokens: Sequence[str] | None = None
) -> HeadExplorer:
    """Explore the weights of all heads on one sequence.

    Shapes: weights `(H, L, S)` or `(1, H, L, S)`, tokens L, key_tokens S (None: the tokens again).

    Raises: ValueError if shapes and tokens do not fit together, if a row holds anything but shares
        (a query that may attend to nothing has zeros), or if it is too large for a screen.
    """
    explorer = HeadExplorer()
    explorer.show(weights, tokens, key_tokens)
    return explorer


def check_shares(
    weights: Tensor, tokens: Sequence[str], key_tokens: Sequence[str] | None
) -> tuple[Tensor, list[str], list[str]]:
    """Check what every viewer checks, and that each row shares out one unit of attention or none.

    Raises: ValueError for what is refused.
    """
    weights, queries, keys = check_weights(weights, tokens, key_tokens)
    if len(weights) > MOST_HEADS or max(len(queries), len(keys)) > MOST_TOKENS:
        raise ValueError(
            f"wanted at most {MOST_HEADS} heads and {MOST_TOKENS} tokens, "
            f"got weights of shape {tuple(weights.shape)}"
        )
    sums = weights.sum(-1)
    wrong = (weights < 0).any(-1) | (((sums - 1).abs() > 1e-3) & (sums != 0))
    if wrong.any():
        head, query = wrong.nonzero()[0].tolist()
        raise ValueError(
            "wanted rows of shares that sum to 1, "
            f"got a sum of {sums[head, query]:.4f} in head {head}, query {query}"
        )
    return weights, queries, keys


def logs_of(weights: Tensor) -> list[Any]:
    """Return the logarithms of weights `(H, L, S)` as lists, None for the weight 0."""
    logs = weights.log().round(decimals=DIGITS).tolist()
    return [[[None if log == -torch.inf else log for log in row] for row in h] for h in logs]
