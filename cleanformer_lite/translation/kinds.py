"""The kinds of attention that chapter 7 puts into one translator, and what came of each."""

import json
from importlib.resources import as_file, files
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.fused_heads import FusedMultiHeadAttention
from cleanformer_lite.registration_bug import HeadsBuiltInForward
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention
from cleanformer_lite.transformer import MakeAttention, Transformer
from cleanformer_lite.translation.training import SIZES, new_model

WEIGHTS = "recordings/translators.safetensors"
KEPT = ("sliced", "built in forward")  # the fused one is the shipped model


class NoAttention(nn.Module):
    """Read nothing: every position is alone with itself.

    Shapes: query `(N, L, E)` -> zeros `(N, L, E)`.
    """

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()

    def forward(self, query: Tensor, *memory: Tensor, **masks: Any) -> Tensor:
        return torch.zeros_like(query)


KINDS: dict[str, MakeAttention] = {
    "fused": FusedMultiHeadAttention,
    "sliced": SlicedMultiHeadAttention,
    "built in forward": HeadsBuiltInForward,
    "none": NoAttention,
}


def load_recorded(kind: str) -> Transformer:
    """Load the first translator that `tools/record_translators.py` trained with sliced heads, or
    with heads built in forward; its weights are kept in half precision.

    Raises: ValueError for another kind.
    """
    from safetensors import safe_open

    if kind not in KEPT:
        raise ValueError(f"wanted one of {', '.join(KEPT)}, got {kind!r}")
    model = new_model(**SIZES, attention=KINDS[kind])
    with (
        as_file(files("cleanformer_lite").joinpath(WEIGHTS)) as path,
        safe_open(path, framework="pt") as opened,
    ):
        tensors = {name: opened.get_tensor(f"{kind}/{name}") for name in model.state_dict()}
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return model.eval()


def recorded_runs() -> dict[str, Any]:
    """Read how each kind of attention did, three seeds each, and what it was measured on."""
    return read_recording("translators.json")


def recorded_costs() -> dict[str, Any]:
    """Read what the translators lose without a head, and what it was measured on."""
    return read_recording("head_costs.json")


def read_recording(name: str) -> dict[str, Any]:
    """Read one JSON file of the package's recordings."""
    recorded: dict[str, Any] = json.loads(
        files("cleanformer_lite").joinpath("recordings", name).read_text(encoding="utf8")
    )
    return recorded
