"""The known mistakes, each a class with its text beside its code; an import enters them all."""
# isort: skip_file
# Mistakes are listed, tried and printed in the order of these lines.

from cleanformer_lite.checks.mistakes import layers, weights, gradients, shapes, axes, scales
from cleanformer_lite.checks.mistakes import masks, causal, fills
from cleanformer_lite.checks.mistakes import (
    padding,
    beyond,
    blocks,
    translation,
    decoding,
    examined,
)
from cleanformer_lite.checks.mistakes.forms import known_in
from cleanformer_lite.checks.mistake import MISTAKES

__all__ = [
    "MISTAKES",
    "axes",
    "beyond",
    "blocks",
    "causal",
    "decoding",
    "examined",
    "fills",
    "gradients",
    "known_in",
    "layers",
    "masks",
    "padding",
    "scales",
    "shapes",
    "translation",
    "weights",
]
