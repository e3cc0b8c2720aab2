"""Mistakes in masks that are made from tokens. Wrong on purpose."""

from collections.abc import Callable

import torch
from torch import Tensor

from cleanformer_lite.checks.mistake import mistake


def _decoder_mask(blocked: Callable[[Tensor], Tensor], wide: bool = False) -> Callable[..., Tensor]:
    """Make the mask of a decoder with another idea of padding; `blocked` takes real tokens."""

    def make(tokens: Tensor, padding: int) -> Tensor:
        length = tokens.shape[1]
        triangle = torch.ones(length, length, dtype=torch.bool).tril()
        mask = (triangle & blocked(tokens != padding))[:, None]
        return mask[0, 0] if wide else mask

    return make


@mistake(
    cause="tokens of one kind attend to each other: padding reads padding",
    symptom="real tokens are right; what padding reads is not what was asked for",
    thread="Biohub/esm#299",
    hints=(
        "Write down the row of a padded token.",
        "You compare query and key. What of two that are both padding?",
        "Ask the keys alone: `(tokens != padding)[:, None, None, :]`.",
    ),
)
class PaddingReadsPadding:
    """Compares whether query and key are of one kind."""

    forms = {
        "transformer.decoder_mask": (
            _decoder_mask(lambda real: real[:, :, None] == real[:, None]),
        ),
    }


@mistake(
    cause="padding is blocked as key and as query",
    symptom="rows of padding allow nothing, and a softmax makes not-a-number of them",
    thread="pytorch/pytorch#41508",
    hints=(
        "Write down the row of a padded token.",
        "Which axis of the mask are the queries? Has a padded query to be blocked?",
        "Ask the keys alone: `(tokens != padding)[:, None, None, :]`.",
    ),
)
class PaddingBlockedTwice:
    """Blocks rows and columns."""

    forms = {
        "transformer.decoder_mask": (_decoder_mask(lambda real: real[:, :, None] & real[:, None]),),
    }


@mistake(
    cause="the mask of the decoder is the triangle alone: padding is not looked at",
    symptom="right as long as padding stands behind everything",
    thread="ml-explore/mlx-lm#1906",
    hints=(
        "Put padding in front of a sentence.",
        "Where does your mask use `padding`?",
        "`triangle & padding_mask(tokens, padding)`.",
    ),
)
class PaddingIgnored:
    """Makes the triangle alone."""

    forms = {
        "transformer.decoder_mask": (
            _decoder_mask(lambda real: torch.ones_like(real)[:, None]),
            _decoder_mask(lambda real: torch.ones_like(real)[:, None], wide=True),
            lambda tokens, padding: _decoder_mask(lambda real: torch.ones_like(real)[:, None])(
                tokens, padding
            )[:1],
        ),
    }
