"""Observations as bytes and back: tensors and text in the safetensors format, never a pickle."""

import json
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from cleanformer_lite.checks import Observations

DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
MOST_OBSERVATIONS = 10_000
_HEADER = "header"
_TENSOR = "tensor/"


class BadFrame(ValueError):  # noqa: N818 (it reads as what it is)
    """Bytes that are no message of ours: cut short, too long, forged, or of the wrong kind."""


def encode(message: dict[str, Any], observations: Observations, limit: int) -> bytes:
    """Write a message and observations as bytes.

    Raises: BadFrame if they need more than `limit` bytes, or hold what cannot be sent.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    double: list[str] = []  # safetensors has no complex numbers of 128 bits
    size = 0
    for name, value in observations.items():
        if isinstance(value, Tensor):
            size += value.numel() * value.element_size()
            if size > limit:
                raise BadFrame(f"wanted a result of at most {limit} bytes, got more")
            if value.dtype == torch.complex128:
                double.append(name)
            tensors[_TENSOR + name] = _ready(value)
        else:
            values[name] = _plain(value)
    header = json.dumps({"message": message, "values": values, "double": double}).encode()
    tensors[_HEADER] = torch.frombuffer(bytearray(header), dtype=torch.uint8)
    frame = save(tensors)
    if len(frame) > limit:
        raise BadFrame(f"wanted a result of at most {limit} bytes, got {len(frame)}")
    return frame


def _ready(x: Tensor) -> Tensor:
    """Return a tensor as one block of memory that no other tensor shares."""
    if x.layout != torch.strided or x.dtype not in (*DTYPES, torch.complex128):
        raise BadFrame(f"wanted a tensor of numbers or booleans, got {x.dtype}, {x.layout}")
    x = x.detach().to("cpu").resolve_conj().resolve_neg()
    if x.dtype == torch.complex128:
        x = torch.view_as_real(x)
    return x.clone(memory_format=torch.contiguous_format)


def _plain(value: object) -> bool | int | float | str | None:
    """Return a value as one of the plain kinds: a NumPy float is a float, whatever its class."""
    if value is None:
        return None
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise BadFrame(f"wanted a tensor, text, or a number, got {type(value).__name__}")


def decode(frame: bytes) -> tuple[dict[str, Any], Observations]:
    """Read what `encode` wrote, believing nothing: whoever sent it may be hostile.

    Raises: BadFrame whatever is wrong with the bytes.
    """
    try:
        return _read(frame)
    except BadFrame:
        raise
    except Exception as error:  # any malformed byte ends here, and only here
        raise BadFrame(f"no message of ours: {type(error).__name__}") from error


def _read(frame: bytes) -> tuple[dict[str, Any], Observations]:
    """Read a frame, raising whatever its malformed bytes lead to."""
    tensors = load(frame)
    header = json.loads(bytes(tensors.pop(_HEADER).tolist()))
    message, values, double = header["message"], header["values"], header["double"]
    if not isinstance(message, dict) or not isinstance(values, dict):
        raise BadFrame("wanted a message and named values")
    if len(tensors) + len(values) > MOST_OBSERVATIONS:
        raise BadFrame(f"wanted at most {MOST_OBSERVATIONS} observations")
    observations: Observations = {}
    for name, value in values.items():
        if not isinstance(value, str | bool | int | float | None):
            raise BadFrame(f"wanted text or a number, got {type(value).__name__}")
        observations[name] = value  # type: ignore[assignment]
    for key, tensor in tensors.items():
        name = key.removeprefix(_TENSOR)
        if name == key or name in observations or tensor.dtype not in DTYPES:
            raise BadFrame("wanted one tensor of numbers for each name")
        observations[name] = _received(tensor, name in double)
    return message, observations


def _received(x: Tensor, double: bool) -> Tensor:
    """Return a tensor as it was sent; a byte that is neither 0 nor 1 is no boolean."""
    if x.dtype == torch.bool:
        return x.view(torch.uint8).ne(0)
    return torch.view_as_complex(x) if double else x
