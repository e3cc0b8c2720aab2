"""The softmax that never sees a whole row: keys arrive in blocks, and old sums shrink."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import traitlets

from cleanformer_lite.viewers.mount import Viewer, script_of, style_of, table

MOST_KEYS = 16
SCORES = (0.4, 1.1, -0.3, 0.9, 2.0, 0.2, 1.4, 3.1, 0.7, -0.8, 1.9, 2.4)
VALUES = (2, 7, 5, 1, 6, 3, 8, 4, 9, 2, 5, 7)
ORDERS = ("as they come", "rising scores", "falling scores")


class OnlineSoftmax(Viewer):
    """One query's attention, read block by block.

    Traits: `scores` `(S,)` and `values` `(S,)`, a number for each key; `block`, how many keys are
        read at once; `read`, how many blocks have been; `order`, in which the keys arrive.

    Raises: ValueError for a block, a number of blocks or an order that is not there.
    """

    _esm = script_of("online_softmax")
    _css = style_of("online_softmax")
    title = "Softmax in blocks"
    shown = ("scores", "values", "block", "read", "order")
    scores = traitlets.List(traitlets.Float()).tag(sync=True)
    values: Any = traitlets.List().tag(sync=True)
    block = traitlets.Int(3).tag(sync=True)
    read = traitlets.Int(0).tag(sync=True)
    order = traitlets.Unicode(ORDERS[0]).tag(sync=True)

    @traitlets.validate("block")
    def _check_block(self, proposal: dict[str, Any]) -> int:
        block = int(proposal["value"])
        if not 1 <= block <= len(self.scores):
            raise ValueError(f"wanted a block of 1 to {len(self.scores)} keys, got {block}")
        return block

    @traitlets.validate("read")
    def _check_read(self, proposal: dict[str, Any]) -> int:
        read, most = int(proposal["value"]), math.ceil(len(self.scores) / self.block)
        if not 0 <= read <= most:
            raise ValueError(f"wanted 0 to {most} blocks read, got {read}")
        return read

    @traitlets.validate("order")
    def _check_order(self, proposal: dict[str, Any]) -> str:
        if proposal["value"] not in ORDERS:
            raise ValueError(f"wanted one of {list(ORDERS)}, got {proposal['value']!r}")
        return str(proposal["value"])

    def static(self) -> str:
        scores = torch.tensor(self.scores, dtype=torch.float64)
        values = torch.tensor(self.values, dtype=torch.float64)
        lines, top = [], -math.inf
        for seen in range(self.block, len(scores) + self.block, self.block):
            now, before = scores[:seen], top
            top = now.max().item()
            total = torch.exp(now - top).sum().item()
            mean = (torch.softmax(now, 0) @ values[:seen]).item()
            name = f"{min(seen, len(scores))} of {len(scores)} keys"
            shrink = math.exp(before - top)
            lines.append([name, f"{shrink:.2f}", f"{top:.2f}", f"{total:.2f}", f"{mean:.2f}"])
        columns = ["read", "old sums times", "top", "total", "mean"]
        return table(f"Softmax in blocks of {self.block} keys", columns, lines)


def read_in_blocks(
    scores: Sequence[float] = SCORES, values: Sequence[float] = VALUES, *, block: int = 3
) -> OnlineSoftmax:
    """Show how one query reads its keys in blocks, with the largest score, a sum and a mean kept.

    Shapes: scores and values `(S,)`, with S at most 16.

    Raises: ValueError for numbers that are not finite, not as many, or too many.
    """
    shown = [[float(number) for number in numbers] for numbers in (scores, values)]
    if len(shown[0]) != len(shown[1]) or not 1 <= len(shown[0]) <= MOST_KEYS:
        sizes = f"{len(shown[0])} scores and {len(shown[1])} values"
        raise ValueError(f"wanted 1 to {MOST_KEYS} scores and as many values, got {sizes}")
    if not all(math.isfinite(number) for numbers in shown for number in numbers):
        raise ValueError("wanted scores and values that are finite")
    return OnlineSoftmax(scores=shown[0], values=shown[1], block=block)
