"""Exercise: attention in blocks, never holding all scores."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode

from cleanformer_lite.checks.chapters import plain
from cleanformer_lite.checks.chapters.fused_heads_merge import EVERY, merged_with
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.probes import draw


class SeesTable(TorchFunctionMode):
    """Watch whether any operator returns as many numbers as there are scores."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.seen = False

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.seen = self.seen or (isinstance(result, Tensor) and result.numel() == self.size)
        return result


LONG = 39  # keys of the one case in which a table can be told from everything else by its size


def watched(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return what an answer returns, and whether it held all scores of a query at once."""

    def run(query: Tensor, key: Tensor, value: Tensor, block: int) -> Any:
        with SeesTable(len(query) * len(key)) as table:
            output = answer(query, key, value, block)
        if output is None or len(key) != LONG:
            return output
        return {"output": output, "all scores at once": table.seen}

    return run


def in_blocks(
    query: Tensor, key: Tensor, value: Tensor, block: int, *, scale: bool = True,
    rescale: Sequence[str] = EVERY, whole: bool = False, apart: bool = False,
) -> Tensor:  # fmt: skip
    """Read block after block; with another setting than the defaults a SPECIMEN."""
    state: list[Tensor] = []
    outputs = []
    for first in range(0, len(key) - block + 1 if whole else len(key), block):
        scores = query @ key[first : first + block].T / (query.shape[-1] ** 0.5 if scale else 1.0)
        top = scores.amax(-1, keepdim=True)
        powers = torch.exp(scores - top)
        new = [top, powers.sum(-1, keepdim=True), powers @ value[first : first + block]]
        outputs.append(new[2] / new[1])
        state = list(merged_with(*rescale)(*state, *new)) if state else new
    return torch.stack(outputs).mean(0) if apart else state[2] / state[1]


def blocked_case(name: str, fails: str, *sizes: int) -> Case:
    """A case of `blocked_attention`: sizes are L, S, D and the block."""
    length, keys, width, block = sizes

    def make(generator: Generator) -> Arguments:
        small = name.startswith("tiny")
        spread = 1.0 if small else 1.5  # scores far apart: a slip in rescaling shows
        made: Arguments = {"query": spread * draw(generator, length, width, by_hand=small)}
        for part in ("key", "value"):
            made[part] = draw(generator, keys, width, by_hand=small)
        return {**made, "block": block}

    return Case(name, fails, make)


BLOCKED = Exercise(
    id="fused_heads.blocked",
    title="Attention in blocks",
    entry_point="blocked_attention",
    prompt=(
        "Write `blocked_attention(query, key, value, block)`. `query` is `(L, D)`, `key` and "
        "`value` are `(S, D)`; the result is `(L, D)`, scaled dot-product attention without a "
        "mask. Read `block` keys at a time (the last block may be shorter), and never make the "
        "scores of more keys than that at once. Use plain operators, not PyTorch's kernel."
    ),
    starter="def blocked_attention(query, key, value, block):\n    raise NotImplementedError\n",
    hints=(
        "Start with a top of minus infinity, a total of 0 and a mean of zeros.",
        "Each block gives scores, a top, a total and a mean of its own: you can put two together.",
        "For `first` in `range(0, len(key), block)`: scores of the slice over the root of D, "
        "`merge_blocks(...)`; at the end `mean / total`.",
    ),
    points=3,
    minutes=15,
    difficulty=3,
    probe=FunctionProbe(
        cases=(
            blocked_case("tiny", "two_blocks", 1, 2, 1, 1),
            blocked_case("tiny_short", "the_last_block_is_shorter", 1, 3, 1, 2),
            blocked_case("tiny_scale", "scale", 1, 2, 2, 1),
            blocked_case("large", "any_sizes", 5, 24, 7, 5),
            blocked_case("long", "never_holds_all_scores", 1, LONG, 3, 4),
        ),
        reference=in_blocks,
        mistakes={
            "scale_missing": (
                lambda query, key, value, block: in_blocks(query, key, value, block, scale=False),
            ),
            "online_not_rescaled": tuple(
                lambda query, key, value, block, named=named: in_blocks(
                    query, key, value, block, rescale=named
                )
                for named in (
                    (),
                    ("old total", "new total"),
                    ("old mean", "new mean"),
                    ("new total", "new mean"),
                    ("old total", "old mean"),
                )
            ),
            "softmax_per_block": (
                lambda query, key, value, block: in_blocks(query, key, value, block, apart=True),
            ),
            "last_block_dropped": (
                lambda query, key, value, block: in_blocks(query, key, value, block, whole=True),
            ),
            "table_kept_whole": (
                lambda query, key, value, block: plain.attention(query, key, value)[0],
                lambda query, key, value, block: (
                    torch.softmax(query @ key.T / query.shape[-1] ** 0.5, dim=-1) @ value
                ),
            ),
        },
        adapt=watched,
    ),
)
