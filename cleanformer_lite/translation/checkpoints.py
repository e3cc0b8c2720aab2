"""Keep a trained translator in one small file, and say what is wrong with a file that is none."""

import hashlib
import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from torch import Tensor

from cleanformer_lite.files import write_file
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.training import new_model
from cleanformer_lite.translation.vocabulary import PIECES

SHIPPED = "recordings/korean_dates.safetensors"
KIND = "cleanformer_lite Transformer for Korean dates"


def fingerprint(tensors: dict[str, Tensor]) -> str:
    """Sum up names, shapes and every bit of the weights, so that damage shows."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(f"{name} {tuple(tensors[name].shape)}\n".encode())
        whole.update(tensors[name].contiguous().numpy().tobytes())
    return whole.hexdigest()


def save_model(model: Transformer, path: Path, sizes: dict[str, int], **notes: Any) -> None:
    """Write weights, sizes and notes (seed, device, date) into one safetensors file.

    All of it is written or nothing.
    """
    from safetensors.torch import save

    tensors = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    metadata = {
        "kind": KIND, "sizes": json.dumps(sizes), "pieces": json.dumps(PIECES),
        "fingerprint": fingerprint(tensors), "notes": json.dumps(notes),
    }  # fmt: skip
    write_file(path, save(tensors, metadata=metadata))


def read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the weights and the metadata beside them.

    Raises: ValueError if the file is no safetensors file, cut off, or without metadata;
        FileNotFoundError if there is none.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(path))
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
    if metadata.get("kind") != KIND:
        raise ValueError(
            f"{path} holds something else: wanted a {KIND}, got {metadata.get('kind')}"
        )
    return tensors, metadata


def load_model(path: Path | None = None, **options: Any) -> tuple[Transformer, dict[str, Any]]:
    """Load a translator and its notes; without a path, the one that the package ships.

    `options` go to the model: `attention=` another class that keeps the same parameters.

    Raises: ValueError, naming the file and what is wrong with it; FileNotFoundError.
    """
    if path is None:
        with as_file(files("cleanformer_lite").joinpath(SHIPPED)) as shipped:
            return load_model(shipped, **options)
    tensors, metadata = read_file(path)
    if json.loads(metadata["pieces"]) != PIECES:
        raise ValueError(f"{path} was trained on another list of pieces")
    if fingerprint(tensors) != metadata["fingerprint"]:
        raise ValueError(f"{path} is damaged: its weights are not those that were saved")
    model = new_model(**json.loads(metadata["sizes"]), **options)
    wanted = {name: tuple(p.shape) for name, p in model.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != got:
        odd = sorted(wanted.items() ^ got.items())[0][0]
        raise ValueError(
            f"{path} does not fit this model: wanted {odd} {wanted.get(odd)}, got {got.get(odd)}"
        )
    model.load_state_dict(tensors)
    return model.eval(), json.loads(metadata["notes"])
