"""What readers look at: attention as lines, as heatmaps, and the source of what a page talks about.

Nothing is imported before it is used, because bertviz and matplotlib are slow to import.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cleanformer_lite.viewers.head_view import head_view
    from cleanformer_lite.viewers.heatmap import heatmap
    from cleanformer_lite.viewers.source import show_source

__all__ = ["head_view", "heatmap", "show_source"]
MODULES = {"head_view": "head_view", "heatmap": "heatmap", "show_source": "source"}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    viewer = getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)
    # Importing a module binds its name here; the viewer of the same name takes its place.
    globals()[name] = viewer
    return viewer
