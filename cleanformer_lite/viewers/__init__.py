"""What readers look at: attention as lines, as heatmaps, and the source of what a page talks about.

Nothing is imported before it is used, because bertviz and matplotlib are slow to import.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cleanformer_lite.viewers.attention_stage import stage
    from cleanformer_lite.viewers.controls import with_module, with_sentence, with_sizes
    from cleanformer_lite.viewers.head_explorer import explore_heads
    from cleanformer_lite.viewers.head_view import head_view
    from cleanformer_lite.viewers.heatmap import heatmap
    from cleanformer_lite.viewers.index_tracer import trace_index
    from cleanformer_lite.viewers.layer_properties import xray
    from cleanformer_lite.viewers.live_translator import (
        live_translator,
        shipped_translators,
        small_translator,
    )
    from cleanformer_lite.viewers.module_xray import show_xray
    from cleanformer_lite.viewers.online_softmax import read_in_blocks
    from cleanformer_lite.viewers.picture import picture
    from cleanformer_lite.viewers.progress_card import keep_points
    from cleanformer_lite.viewers.source import show_source
    from cleanformer_lite.viewers.timing_explorer import explore_timings
    from cleanformer_lite.viewers.timing_panel import time_here
    from cleanformer_lite.viewers.trained_anyway import guess_the_broken
    from cleanformer_lite.viewers.training_film import watch_training
    from cleanformer_lite.viewers.transformer_drawing import draw_transformer

__all__ = [
    "draw_transformer",
    "explore_heads",
    "explore_timings",
    "guess_the_broken",
    "head_view",
    "heatmap",
    "keep_points",
    "live_translator",
    "picture",
    "read_in_blocks",
    "shipped_translators",
    "show_source",
    "show_xray",
    "small_translator",
    "stage",
    "time_here",
    "trace_index",
    "watch_training",
    "with_module",
    "with_sentence",
    "with_sizes",
    "xray",
]
MODULES = {
    "draw_transformer": "transformer_drawing",
    "explore_heads": "head_explorer",
    "explore_timings": "timing_explorer",
    "guess_the_broken": "trained_anyway",
    "head_view": "head_view",
    "heatmap": "heatmap",
    "live_translator": "live_translator",
    "picture": "picture",
    "keep_points": "progress_card",
    "read_in_blocks": "online_softmax",
    "shipped_translators": "live_translator",
    "small_translator": "live_translator",
    "show_source": "source",
    "show_xray": "module_xray",
    "stage": "attention_stage",
    "time_here": "timing_panel",
    "trace_index": "index_tracer",
    "watch_training": "training_film",
    "with_module": "controls",
    "with_sentence": "controls",
    "with_sizes": "controls",
    "xray": "layer_properties",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    viewer = getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)
    # Importing a module binds its name here; the viewer of the same name takes its place.
    globals()[name] = viewer
    return viewer
