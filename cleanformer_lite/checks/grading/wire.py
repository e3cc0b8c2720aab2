"""Turn observations into bytes and back, in the safetensors format, never as a pickle."""

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from safetensors.torch import load, save
from torch import Tensor

from cleanformer_lite.checks import Observations
from cleanformer_lite.checks.observations import RECORDS

DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
MOST_OBSERVATIONS = 10_000
MOST_NOTES = 16
NOTE = b"\xff" * 8  # a frame cannot begin so: it would be 2^64 bytes long
_HEADER = "header"
_TENSOR = "tensor"
_RECORD = "record"
_NAMED = "named"


class BadFrameError(ValueError):
    """Bytes that are not a valid message: cut short, too long, forged, or of the wrong kind."""


def encode_note(text: str) -> bytes:
    """Write a short sentence as bytes that may stand before a frame."""
    content = text.encode("utf-8", "replace")[:255]
    return NOTE + bytes([len(content)]) + content


def without_notes(frame: bytes) -> tuple[list[str], bytes]:
    """Take off the sentences that stand before a frame; whoever sent them may be hostile."""
    notes: list[str] = []
    begin = len(NOTE) + 1
    while frame.startswith(NOTE) and len(frame) >= begin and len(notes) < MOST_NOTES:
        end = begin + frame[begin - 1]
        notes.append(frame[begin:end].decode("utf-8", "replace"))
        frame = frame[end:]
    return notes, frame


def encode(message: dict[str, Any], observations: Observations, limit: int) -> bytes:
    """Write a message and observations as bytes.

    Raises: BadFrameError if they need more than `limit` bytes, or hold what cannot be sent.
    """
    tensors: dict[str, Tensor] = {}
    double: list[str] = []  # safetensors has no complex numbers of 128 bits
    size = 0

    def number(x: Tensor) -> str:
        nonlocal size
        size += x.numel() * x.element_size()
        if size > limit:
            raise BadFrameError(f"wanted a result of at most {limit} bytes, got more")
        name = str(len(tensors))
        if x.dtype == torch.complex128:
            double.append(name)
        tensors[name] = _ready(x)
        return name

    told = {"message": message, "observed": _packed(observations, number), "double": double}
    header = json.dumps(told).encode()
    tensors[_HEADER] = torch.frombuffer(bytearray(header), dtype=torch.uint8)
    frame = save(tensors)
    if len(frame) > limit:
        raise BadFrameError(f"wanted a result of at most {limit} bytes, got {len(frame)}")
    return frame


def _packed(value: object, number: Callable[[Tensor], str]) -> Any:
    """Turn records, tuples and dictionaries into JSON; `number` stores each tensor."""
    if isinstance(value, Tensor):
        return {_TENSOR: number(value)}
    if isinstance(value, tuple):
        return [_packed(item, number) for item in value]
    if isinstance(value, dict):
        return {_NAMED: {str(name): _packed(item, number) for name, item in value.items()}}
    if is_dataclass(value) and type(value).__name__ in RECORDS:
        held = {each.name: _packed(getattr(value, each.name), number) for each in fields(value)}
        return {_RECORD: type(value).__name__, _NAMED: held}
    return _simple(value)


def _ready(x: Tensor) -> Tensor:
    """Return a tensor as a block of memory of its own."""
    if x.layout != torch.strided or x.dtype not in (*DTYPES, torch.complex128):
        raise BadFrameError(f"wanted a tensor of numbers or booleans, got {x.dtype}, {x.layout}")
    x = x.detach().to("cpu").resolve_conj().resolve_neg()
    if x.dtype == torch.complex128:
        x = torch.view_as_real(x)
    return x.clone(memory_format=torch.contiguous_format)


def _simple(value: object) -> bool | int | float | str | None:
    """Return a value as a type that JSON has; a NumPy float becomes a float."""
    if value is None:
        return None
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise BadFrameError(f"wanted a tensor, text, or a number, got {type(value).__name__}")


def decode(frame: bytes) -> tuple[dict[str, Any], Observations]:
    """Read what `encode` wrote, without trust, because the sender may be hostile.

    Raises: BadFrameError for anything wrong with the bytes.
    """
    try:
        return _read(frame)
    except BadFrameError:
        raise
    except Exception as error:  # any malformed byte ends here, and only here
        raise BadFrameError(f"not a valid message: {type(error).__name__}") from error


def _read(frame: bytes) -> tuple[dict[str, Any], Observations]:
    """Read a frame; malformed bytes may raise any error."""
    tensors = load(frame)
    header = json.loads(bytes(tensors.pop(_HEADER).tolist()))
    message, double = header["message"], header["double"]
    if not isinstance(message, dict):
        raise BadFrameError("wanted a message")
    if any(tensor.dtype not in DTYPES for tensor in tensors.values()):
        raise BadFrameError("wanted tensors of numbers")
    received = {name: _received(tensor, name in double) for name, tensor in tensors.items()}
    observations = _Reader(received).read(header["observed"])
    if not fits(observations, Observations):
        raise BadFrameError(f"wanted observations, got {type(observations).__name__}")
    return message, observations


class _Reader:
    """Rebuild the records that `_packed` wrote, and nothing else."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.left = MOST_OBSERVATIONS

    def read(self, packed: Any) -> Any:
        """Read one value, and everything in it.

        Raises: BadFrameError if it is malformed, or too large.
        """
        self.left -= 1
        if self.left < 0:
            raise BadFrameError(f"wanted at most {MOST_OBSERVATIONS} observations")
        if isinstance(packed, list):
            return tuple(self.read(item) for item in packed)
        if not isinstance(packed, dict):
            return packed
        if packed.keys() == {_TENSOR}:
            return self.tensors[packed[_TENSOR]]
        held = {name: self.read(item) for name, item in packed[_NAMED].items()}
        if packed.keys() == {_NAMED}:
            return held
        if packed.keys() != {_RECORD, _NAMED}:
            raise BadFrameError("wanted a record's name and fields")
        return self.record(packed[_RECORD], held)

    def record(self, name: str, held: dict[str, Any]) -> Any:
        """Rebuild a record; each field must be present and of its own type."""
        kind = RECORDS[name]
        hints = fields_of(kind)
        if held.keys() != hints.keys():
            raise BadFrameError(f"wanted {', '.join(hints)}, got {', '.join(held)[:200]}")
        for each, value in held.items():
            if not fits(value, hints[each]):
                raise BadFrameError(f"wanted another {name}.{each}, got {type(value).__name__}")
        return kind(**held)


def fits(value: object, hint: Any) -> bool:
    """Say whether a value is exactly of an annotated type: an int is no float and no bool."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is tuple:
        return type(value) is tuple and all(fits(item, parts[0]) for item in value)
    if origin is dict:
        return type(value) is dict and all(fits(item, parts[1]) for item in value.values())
    return type(value) is hint


@cache
def fields_of(kind: type) -> dict[str, Any]:
    """Return the annotated type of each field of a record."""
    return get_type_hints(kind)


def _received(x: Tensor, double: bool) -> Tensor:
    """Return a received tensor, with booleans of 0 and 1 only."""
    if x.dtype == torch.bool:
        return x.view(torch.uint8).ne(0)
    return torch.view_as_complex(x) if double else x
