"""Observations as bytes and back: tensors and text in the safetensors format, never a pickle."""

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


class BadFrame(ValueError):  # noqa: N818 (it reads as what it is)
    """Bytes that are no message of ours: cut short, too long, forged, or of the wrong kind."""


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

    Raises: BadFrame if they need more than `limit` bytes, or hold what cannot be sent.
    """
    tensors: dict[str, Tensor] = {}
    double: list[str] = []  # safetensors has no complex numbers of 128 bits
    size = 0

    def number(x: Tensor) -> str:
        nonlocal size
        size += x.numel() * x.element_size()
        if size > limit:
            raise BadFrame(f"wanted a result of at most {limit} bytes, got more")
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
        raise BadFrame(f"wanted a result of at most {limit} bytes, got {len(frame)}")
    return frame


def _packed(value: object, number: Callable[[Tensor], str]) -> Any:
    """Write records, tuples and dictionaries as JSON knows them; `number` takes each tensor."""
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
    """Return a tensor as one block of memory that no other tensor shares."""
    if x.layout != torch.strided or x.dtype not in (*DTYPES, torch.complex128):
        raise BadFrame(f"wanted a tensor of numbers or booleans, got {x.dtype}, {x.layout}")
    x = x.detach().to("cpu").resolve_conj().resolve_neg()
    if x.dtype == torch.complex128:
        x = torch.view_as_real(x)
    return x.clone(memory_format=torch.contiguous_format)


def _simple(value: object) -> bool | int | float | str | None:
    """Return a value as one of the kinds that JSON has: a NumPy float is a float."""
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
    message, double = header["message"], header["double"]
    if not isinstance(message, dict):
        raise BadFrame("wanted a message")
    if any(tensor.dtype not in DTYPES for tensor in tensors.values()):
        raise BadFrame("wanted tensors of numbers")
    received = {name: _received(tensor, name in double) for name, tensor in tensors.items()}
    observations = _Reader(received).read(header["observed"])
    if not fits(observations, Observations):
        raise BadFrame(f"wanted observations, got {type(observations).__name__}")
    return message, observations


class _Reader:
    """Makes records of what `_packed` wrote, and of nothing else."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.left = MOST_OBSERVATIONS

    def read(self, packed: Any) -> Any:
        """Read one value, and all that it holds.

        Raises: BadFrame if it is malformed, or there are too many.
        """
        self.left -= 1
        if self.left < 0:
            raise BadFrame(f"wanted at most {MOST_OBSERVATIONS} observations")
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
            raise BadFrame("wanted a record's name and fields")
        return self.record(packed[_RECORD], held)

    def record(self, name: str, held: dict[str, Any]) -> Any:
        """Make a record of its fields, each of which has to be there and of its own kind."""
        kind = RECORDS[name]
        hints = fields_of(kind)
        if held.keys() != hints.keys():
            raise BadFrame(f"wanted {', '.join(hints)}, got {', '.join(held)[:200]}")
        for each, value in held.items():
            if not fits(value, hints[each]):
                raise BadFrame(f"wanted another {name}.{each}, got {type(value).__name__}")
        return kind(**held)


def fits(value: object, hint: Any) -> bool:
    """Say whether a value is of an annotated kind: exactly, an int is no float and no bool."""
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
    """Return the annotated kind of each field of a record."""
    return get_type_hints(kind)


def _received(x: Tensor, double: bool) -> Tensor:
    """Return a tensor as it was sent; a byte that is neither 0 nor 1 is no boolean."""
    if x.dtype == torch.bool:
        return x.view(torch.uint8).ne(0)
    return torch.view_as_complex(x) if double else x
