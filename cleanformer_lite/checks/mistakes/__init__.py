"""The known mistakes, each a class with its text beside its code; an import enters them all."""
# isort: skip_file
# Mistakes are listed, tried and printed in the order of these lines.

from cleanformer_lite.checks.mistakes import layers, weights, shapes, masks
from cleanformer_lite.checks.mistakes import beyond, blocks, translation
from cleanformer_lite.checks.mistakes.forms import known_in
from cleanformer_lite.checks.mistake import MISTAKES

__all__ = [
    "MISTAKES",
    "beyond",
    "blocks",
    "known_in",
    "layers",
    "masks",
    "shapes",
    "translation",
    "weights",
]
