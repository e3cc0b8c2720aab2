"""Exchange the attention of a whole model for another build of the same function."""

import copy
from typing import Any, TypeVar

from torch import nn

from cleanformer_lite.copy_weights import copy_weights, projections_of
from cleanformer_lite.transformer import MakeAttention, Transformer

Model = TypeVar("Model", bound=Transformer)


def swap_attention(model: Model, attention: MakeAttention) -> Model:
    """Return a copy of the model with every attention module rebuilt, and its weights kept.

    Raises: ValueError, TypeError where `copy_weights` cannot keep them.
    """
    swapped = copy.deepcopy(model)
    for block in [*swapped.encoder, *swapped.decoder]:
        for name, old in list(block.named_children()):
            if name in ("attention", "cross_attention"):
                new = rebuilt(old, attention)
                setattr(block, name, new)
    return swapped.train(model.training)


def rebuilt(old: nn.Module, attention: MakeAttention) -> nn.Module:
    """Build one attention module anew, on the same device and in the same dtype."""
    projections_of(old)  # a module of another kind is refused by its name
    weight = next(old.parameters())
    sizes: Any = (old.embed_dim, old.num_heads)
    new = attention(*sizes).to(weight)
    copy_weights(old, new)
    return new
