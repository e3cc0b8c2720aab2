"""The known mistakes, each a class with its text beside its code; an import enters them all."""
# isort: skip_file
# Mistakes are listed, tried and printed in the order of these lines.

from cleanformer_lite.checks.mistakes import layers, finding, sharing, weights, gradients
from cleanformer_lite.checks.mistakes import shapes, axes, scales, masks, causal, fills
from cleanformer_lite.checks.mistakes import padding, beyond, blocks, translation, decoding
from cleanformer_lite.checks.mistakes import examined
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
    "finding",
    "gradients",
    "known_in",
    "layers",
    "masks",
    "padding",
    "scales",
    "shapes",
    "sharing",
    "translation",
    "weights",
]
