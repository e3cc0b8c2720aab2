"""Do to a module what one does to modules, and see which of its layers come along."""

from collections.abc import Mapping
from typing import Any

import traitlets
from torch import Tensor, nn

from cleanformer_lite.viewers.layer_properties import PROPERTIES, Xray, xray
from cleanformer_lite.viewers.mount import Viewer, script_of, table

MOST_LAYERS = 64
ACTS = ("find", "step", "move", "save", "load", "call")


class ModuleXray(Viewer):
    """Modules layer by layer, and what training, moving, saving and loading do to each layer.

    Traits: `scans`, for each module its title, whether two calls agree, and its layers with a one
        or a zero for each of PROPERTIES; `scan`, the one picked, counted from 0; `acts`, what has
        been done to it, of ACTS.

    Raises: ValueError for a scan or an act that is not there.
    """

    _esm = script_of("module_xray")
    title = "X-ray: which layers does PyTorch know of?"
    shown = ("scans", "scan", "acts")
    scans: Any = traitlets.List().tag(sync=True)
    scan = traitlets.Int(0).tag(sync=True)
    acts = traitlets.List(traitlets.Unicode()).tag(sync=True)

    @traitlets.validate("scan")
    def _check_scan(self, proposal: dict[str, Any]) -> int:
        index = int(proposal["value"])
        if not 0 <= index < len(self.scans):
            raise ValueError(f"wanted a scan from 0 to {len(self.scans) - 1}, got {index}")
        return index

    @traitlets.validate("acts")
    def _check_acts(self, proposal: dict[str, Any]) -> list[str]:
        acts: list[str] = proposal["value"]
        if not set(acts) <= set(ACTS):
            raise ValueError(f"wanted acts of {ACTS}, got {acts}")
        return acts

    def add(self, title: str, module: nn.Module, example: Tensor) -> None:
        """Show one more module, or the same title anew; shapes and errors as at first."""
        others = [scan for scan in self.scans if scan["title"] != title]
        scans = [*others, scan_of(title, module, example)]
        with self.hold_sync(), self.hold_trait_notifications():
            self.scans, self.scan, self.acts = scans, len(scans) - 1, []

    def static(self) -> str:
        lines = [
            [text, *(counted(scan["layers"], at) for scan in self.scans)]
            for at, text in enumerate(PROPERTIES.values())
        ]
        lines.append(
            ["two calls agree", *("yes" if scan["agree"] else "no" for scan in self.scans)]
        )
        columns = ["property", *(scan["title"] for scan in self.scans)]
        return table("Layers of each module for which it holds", columns, lines)


def show_xray(modules: Mapping[str, nn.Module], example: Tensor) -> ModuleXray:
    """X-ray several modules on one example, and let the reader flip between them.

    Shapes: example as each `module(example)` takes it.

    Raises: ValueError for no modules, for more than 64 layers in one, or as `xray` does.
    """
    if not modules:
        raise ValueError("wanted a module at least, got none")
    return ModuleXray(scans=[scan_of(title, module, example) for title, module in modules.items()])


def scan_of(title: str, module: nn.Module, example: Tensor) -> dict[str, Any]:
    """X-ray one module, and write it down as the JavaScript reads it.

    Raises: ValueError for more than 64 layers, or as `xray` does.
    """
    seen = xray(module, example)
    if len(seen.layers) > MOST_LAYERS:
        raise ValueError(
            f"wanted at most {MOST_LAYERS} layers, got {len(seen.layers)} in {title!r}"
        )
    return {"title": str(title), "agree": seen.calls_agree, "layers": lamps(seen)}


def lamps(seen: Xray) -> list[dict[str, Any]]:
    """Write the properties of each layer as a string of ones and zeros, in their order."""
    return [
        {
            "name": layer.name,
            "kind": layer.kind,
            "numbers": layer.numbers,
            "holds": "".join(str(int(getattr(layer, name))) for name in PROPERTIES),
        }
        for layer in seen.layers
    ]


def counted(layers: list[dict[str, Any]], at: int) -> str:
    """Say for how many of the layers a property holds."""
    return f"{sum(layer['holds'][at] == '1' for layer in layers)} of {len(layers)}"
