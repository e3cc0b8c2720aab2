"""Modules as trees of lamps: which layer does PyTorch know of?"""

from collections.abc import Mapping
from typing import Any

import traitlets
from torch import Tensor, nn

from cleanformer_lite.viewers.layer_facts import FACTS, Xray, xray
from cleanformer_lite.viewers.mount import Viewer, script_of, table

MOST_LAYERS = 64
MEANING = {
    "registered": "A dark layer is not in the module's register.",
    "in_optimizer": "A dark layer is never trained: the optimizer does not have it.",
    "gets_gradient": "A dark layer has no part in the output.",
    "changes": "A dark layer computes after training as before.",
    "in_state_dict": "A dark layer is missing from the saved file, and nothing says so.",
    "moves": "A dark layer stays behind when the module goes to a GPU or another dtype.",
    "stays": "A dark layer is thrown away after the call, and its gradient with it.",
    "own": "A dark layer stands in several places: what looks like many is one.",
}


class ModuleXray(Viewer):
    """Facts of modules, layer by layer.

    Traits: `scans`, for each module its title, whether two calls agree, and its layers; `facts`,
        the questions and what a no means; `scan` and `fact`, the ones picked, counted from 0.
    """

    _esm = script_of("module_xray")
    title = "X-ray: which layers does PyTorch know of?"
    shown = ("scans", "facts", "scan", "fact")
    scans: Any = traitlets.List().tag(sync=True)
    facts = traitlets.List([[text, MEANING[fact]] for fact, text in FACTS.items()]).tag(sync=True)
    scan = traitlets.Int(0).tag(sync=True)
    fact = traitlets.Int(0).tag(sync=True)

    @traitlets.validate("scan", "fact")
    def _check_index(self, proposal: dict[str, Any]) -> int:
        name, index = proposal["trait"].name, int(proposal["value"])
        size = len(self.scans if name == "scan" else self.facts)
        if not 0 <= index < size:
            raise ValueError(f"wanted a {name} from 0 to {size - 1}, got {index}")
        return index

    def add(self, title: str, module: nn.Module, example: Tensor) -> None:
        """Show one more module, or the same title anew; shapes and errors as at first."""
        others = [scan for scan in self.scans if scan["title"] != title]
        scans = [*others, scan_of(title, module, example)]
        with self.hold_sync(), self.hold_trait_notifications():
            self.scans, self.scan = scans, len(scans) - 1

    def static(self) -> str:
        rows = [
            [text, *(counted(scan["layers"], at) for scan in self.scans)]
            for at, (text, _) in enumerate(self.facts)
        ]
        rows.append(["two calls agree", *("yes" if scan["agree"] else "no" for scan in self.scans)])
        columns = ["", *(scan["title"] for scan in self.scans)]
        return table("Layers of each module for which it holds", columns, rows)


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
    """Write the facts of each layer as a string of ones and zeros, in the order of FACTS."""
    return [
        {
            "name": layer.name,
            "kind": layer.kind,
            "numbers": layer.numbers,
            "facts": "".join(str(int(getattr(layer, fact))) for fact in FACTS),
        }
        for layer in seen.layers
    ]


def counted(layers: list[dict[str, Any]], at: int) -> str:
    """Say for how many of the layers a fact holds."""
    return f"{sum(layer['facts'][at] == '1' for layer in layers)} of {len(layers)}"
