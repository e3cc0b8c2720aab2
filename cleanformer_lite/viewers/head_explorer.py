"""Pick heads, switch them off, sharpen them, and read what each token attends to."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor

from cleanformer_lite.viewers.mount import Viewer, script_of, table
from cleanformer_lite.viewers.weights import check_weights

MOST_GROUPS, MOST_HEADS, MOST_TOKENS = 12, 32, 64
DIGITS = 6  # so that what JavaScript computes agrees with torch to 1e-5
# One layer's weights, with tokens of its own where they differ from those of the others, and with
# what the model says.
Group = (
    Tensor
    | tuple[Tensor, Sequence[str]]
    | tuple[Tensor, Sequence[str], Sequence[str] | None]
    | tuple[Tensor, Sequence[str], Sequence[str] | None, Sequence[str]]
)


class HeadExplorer(Viewer):
    """The heads of one layer, or of several, on one sequence.

    Traits: `groups`, for each layer its name, `tokens` L, `key_tokens` S, `logs` `(H, L, S)`, the
        logarithms of the weights, None where a weight is 0, and `says`, what the model says with
        all heads and then without each, or nothing; `group`, the one shown; `head`, `word` and
        `key`, the ones picked, no key being -1; `off`, the heads switched off; `temperature`, by
        which the scores are divided before softmax. With another group, all its heads are on.

    Raises: ValueError for an index that is not there, or a temperature that is not positive.
    """

    _esm = script_of("thumbnail", "head_explorer")
    title = "Attention, head by head"
    shown = ("groups", "group", "head", "word", "key", "off", "temperature")
    groups: Any = traitlets.List().tag(sync=True)
    group = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    word = traitlets.Int(0).tag(sync=True)
    key = traitlets.Int(-1).tag(sync=True)
    off = traitlets.List(traitlets.Int()).tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)

    @traitlets.validate("group", "head", "word")
    def _check_index(self, proposal: dict[str, Any]) -> int:
        name, index = proposal["trait"].name, int(proposal["value"])
        inside = {"head": "logs", "word": "tokens"}
        size = len(self.groups if name == "group" else self.groups[self.group][inside[name]])
        if not 0 <= index < size:
            raise ValueError(f"wanted a {name} from 0 to {size - 1}, got {index}")
        return index

    @traitlets.validate("key")
    def _check_key(self, proposal: dict[str, Any]) -> int:
        last = len(self.groups[self.group]["key_tokens"]) - 1
        if not -1 <= proposal["value"] <= last:
            raise ValueError(f"wanted a key from 0 to {last}, or -1, got {proposal['value']}")
        return int(proposal["value"])

    @traitlets.validate("temperature")
    def _check_temperature(self, proposal: dict[str, Any]) -> float:
        if not 0.0 < proposal["value"] < float("inf"):
            raise ValueError(f"wanted a temperature above 0, got {proposal['value']}")
        return float(proposal["value"])

    @traitlets.observe("group")
    def _stay_inside(self, _: object) -> None:
        group = self.groups[self.group]
        self.head = min(self.head, len(group["logs"]) - 1)
        self.word = min(self.word, len(group["tokens"]) - 1)
        self.key, self.off = -1, []

    def show(
        self,
        weights: Tensor | Mapping[str, Group],
        tokens: Sequence[str] | None = None,
        key_tokens: Sequence[str] | None = None,
        says: Sequence[str] = (),
    ) -> None:
        """Show other weights, say those of your own sentence; shapes and errors as at first."""
        groups = groups_of(weights, tokens, key_tokens, says)
        with self.hold_sync(), self.hold_trait_notifications():
            self.groups = groups
            self.group = self.head = 0
            # The last row reads more than itself, under a causal mask too.
            self.word = len(groups[0]["tokens"]) - 1
            self.key, self.off = -1, []

    def static(self) -> str:
        return "".join(static_group(**group) for group in self.groups)


def explore_heads(
    weights: Tensor | Mapping[str, Group],
    tokens: Sequence[str] | None = None,
    *,
    key_tokens: Sequence[str] | None = None,
    says: Sequence[str] = (),
) -> HeadExplorer:
    """Explore the weights of all heads on one sequence, of one layer or of several by their names.

    With `says`, the viewer shows what becomes of the model's answer when a head is switched off:
    the texts are what the model says with all heads, then without head 0, without head 1, and so
    on.

    Shapes: weights `(H, L, S)` or `(1, H, L, S)`, tokens L, key_tokens S (None: the tokens again),
        says H + 1; or for each name such weights, alone or as `(weights, tokens)`, `(weights,
        tokens, key_tokens)` or `(weights, tokens, key_tokens, says)`.

    Raises: ValueError if shapes and tokens do not fit together, if a row holds anything but shares
        (a query that may attend to nothing has zeros), or if it is too large for a screen.
    """
    explorer = HeadExplorer()
    explorer.show(weights, tokens, key_tokens, says)
    return explorer


def groups_of(
    weights: Tensor | Mapping[str, Group],
    tokens: Sequence[str] | None,
    key_tokens: Sequence[str] | None,
    says: Sequence[str],
) -> list[dict[str, Any]]:
    """Check all that is to be shown, and write it down as the JavaScript reads it.

    Raises: ValueError for what is refused, with the name of its group.
    """
    if not isinstance(weights, Mapping):
        return [group_of("", weights, tokens, key_tokens, says)]
    if not 1 <= len(weights) <= MOST_GROUPS:
        raise ValueError(f"wanted 1 to {MOST_GROUPS} groups of heads, got {len(weights)}")
    groups = []
    for name, given in weights.items():
        parts = (given, tokens, key_tokens) if isinstance(given, Tensor) else given
        try:
            groups.append(group_of(str(name), *parts))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return groups


def group_of(
    name: str,
    weights: Tensor,
    tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    says: Sequence[str] = (),
) -> dict[str, Any]:
    """Check one group and write it down.

    Raises: ValueError for what is refused.
    """
    if tokens is None:
        raise ValueError("wanted tokens for the weights, got none")
    weights, queries, keys = check_shares(weights, tokens, key_tokens)
    if says and len(says) != len(weights) + 1:
        raise ValueError(
            f"wanted {len(weights) + 1} texts in says, with all heads and without each, "
            f"got {len(says)}"
        )
    return {
        "name": name,
        "tokens": queries,
        "key_tokens": keys,
        "logs": logs_of(weights),
        "says": [str(text) for text in says],
    }


def static_group(
    name: str, tokens: list[str], key_tokens: list[str], logs: list[Any], says: list[str]
) -> str:
    """Write one group's twin: what each token reads most, in each head, and what the model says."""
    lines = []
    for head, weights in enumerate(logs):
        for token, row in zip(tokens, weights, strict=True):
            log, key = max(
                (log, i) for i, log in enumerate([-1e9 if v is None else v for v in row])
            )
            share = f"{torch.tensor(log).exp().item():.0%}"
            lines.append([f"head {head}", token, key_tokens[key], share])
    caption = "What each token reads most" + (f", {name}" if name else "")
    read = table(caption, ["head", "token", "reads", "share"], lines)
    if not says:
        return read
    without = [["with all heads", says[0]]]
    without += [[f"without head {head}", text] for head, text in enumerate(says[1:])]
    return read + table("What the model says", ["heads", "text"], without)


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
