"""Translate one date with heads switched off, and keep what every head read."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from cleanformer_lite.threads import one_thread
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.decoding import greedy
from cleanformer_lite.translation.looking_inside import (
    attention_maps,
    attention_modules,
    without_head,
)
from cleanformer_lite.translation.vocabulary import START, korean_pieces, numbered


@one_thread()
@torch.no_grad()
def write_line(
    model: Transformer, korean: str, off: Sequence[tuple[str, int]] = ()
) -> dict[str, Any]:
    """Translate one date without the heads in `off`, such as ("decoder 0", 1).

    Returns `pieces`, the numbers of what is written, up to <end>; `shares`, the probability of
    each; and `maps`, for each attention module a list of heads, each a list of rows.

    Raises: ValueError for a syllable that occurs in no date, or a head that is not there.
    """
    modules = attention_modules(model)
    source = numbered([korean_pieces(korean)], ends=False).to(model.embedding.weight.device)
    was_training = model.training
    model.eval()
    try:
        with ExitStack() as silent:
            for name, head in off:
                silent.enter_context(without_head(modules[name], head))
            pieces = greedy(model, source)  # (1, L)
            target = torch.cat([source.new_full((1, 1), START), pieces[:, :-1]], dim=1)
            shares = model(source, target).softmax(-1).gather(-1, pieces[..., None])
            maps = attention_maps(model, source, target)
    finally:
        model.train(was_training)
    return {
        "pieces": pieces[0].tolist(),
        "shares": _short(shares[0, :, 0]),
        "maps": {
            name: [[_short(row) for row in head] for head in heads[0]]
            for name, heads in maps.items()
        },
    }


def check_heads(model: Transformer) -> None:
    """See that every attention module has heads that can be looked at and silenced.

    Raises: TypeError, with the module's name, if one does not.
    """
    for name, module in attention_modules(model).items():
        if not hasattr(module, "num_heads") or not isinstance(
            getattr(module, "out_proj", None), nn.Module
        ):
            raise TypeError(
                f"{name}: wanted a module with num_heads and out_proj, got {type(module).__name__}"
            )


def _short(numbers: torch.Tensor) -> list[float]:
    return [round(number, 5) for number in numbers.tolist()]
