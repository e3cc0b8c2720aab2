"""Write a translation piece by piece, always taking the likeliest."""

import torch
from torch import Tensor

from cleanformer_lite.threads import one_thread
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.vocabulary import (
    END,
    PAD,
    START,
    as_text,
    korean_pieces,
    numbered,
)


@torch.no_grad()
def greedy(model: Transformer, source: Tensor, *, longest: int = 16) -> Tensor:
    """Decode a batch; a row that has said <end> is filled up, and when all have it stops.

    Shapes: source `(N, S)` -> `(N, L)`, L at most `longest`, without <start>.

    Raises: ValueError for an empty batch or `longest` below 1.
    """
    if source.dim() != 2 or 0 in source.shape or longest < 1:
        raise ValueError(
            f"wanted source of shape (N, S) and longest of at least 1, got {tuple(source.shape)} "
            f"and {longest}"
        )
    memory, mask = model.encode(source)
    target = source.new_full((len(source), 1), START)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    for _ in range(longest):
        likeliest = model.decode(target, memory, mask)[:, -1].argmax(-1)
        target = torch.cat([target, likeliest.masked_fill(ended, PAD)[:, None]], dim=1)
        ended = ended | (likeliest == END)
        if ended.all():
            break
    return target[:, 1:]


@one_thread()
def translate(model: Transformer, texts: list[str], *, batch: int = 512) -> list[str]:
    """Translate dates in Korean words.

    Raises: ValueError, with its position, for a syllable that occurs in no date.
    """
    device = model.embedding.weight.device
    translations = []
    for first in range(0, len(texts), batch):
        pieces = [korean_pieces(text) for text in texts[first : first + batch]]
        decoded = greedy(model, numbered(pieces, ends=False).to(device))
        translations += [as_text(row) for row in decoded]
    return translations


def exact_match(model: Transformer, sources: list[str], targets: list[str]) -> float:
    """Return the share, 0 to 1, of texts that are translated without a single wrong letter."""
    translations = translate(model, sources)
    return sum(a == b for a, b in zip(translations, targets, strict=True)) / len(targets)
