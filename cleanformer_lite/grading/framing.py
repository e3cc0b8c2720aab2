"""Facts as bytes and back: a JSON header, then the numbers of every tensor, never a pickle."""

import ctypes
import json
import struct
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.exercise import Fact, Observations

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
        *(torch.complex64, torch.complex128),
    )
}
MOST_FACTS = 10_000
MOST_AXES = 16
LENGTH = struct.Struct("<Q")


class BadFrame(ValueError):  # noqa: N818 (it reads as what it is)
    """Bytes that are no message of ours: cut short, too long, forged, or of the wrong kind."""


def encode(message: dict[str, Any], facts: Observations, limit: int) -> bytes:
    """Write a message and its facts as bytes.

    Raises: BadFrame if they need more than `limit` bytes, or hold what cannot be sent.
    """
    entries: list[list[Any]] = []
    blobs: list[bytes] = []
    size = 0
    for name, fact in facts.items():
        if isinstance(fact, Tensor):
            size += fact.numel() * fact.element_size()
            if size > limit:
                raise BadFrame(f"wanted a result of at most {limit} bytes, got more")
            entries.append([name, "tensor", *described(fact)])
            blobs.append(numbers_of(fact))
        else:
            entries.append([name, kind_of(fact), fact])
    header = json.dumps({"message": message, "facts": entries}).encode()
    frame = b"".join([LENGTH.pack(len(header)), header, *blobs])
    if len(frame) > limit:
        raise BadFrame(f"wanted a result of at most {limit} bytes, got {len(frame)}")
    return frame


def kind_of(fact: Fact) -> str:
    """Name the plain kind of a fact: a NumPy float is a float, whatever it calls itself."""
    for kind in (bool, int, float, str):
        if isinstance(fact, kind):
            return kind.__name__
    raise BadFrame(f"wanted a tensor, text, or a number, got {type(fact).__name__}")


def described(x: Tensor) -> list[Any]:
    """Return what is needed to read a tensor's bytes again: the dtype's name and the shape."""
    name = str(x.dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise BadFrame(f"wanted a tensor of numbers or booleans, got {x.dtype}")
    return [name, list(x.shape)]


def numbers_of(x: Tensor) -> bytes:
    """Copy the bytes of a tensor, without numpy (torch runs without it)."""
    x = x.detach().to("cpu").resolve_conj().resolve_neg().contiguous()
    return ctypes.string_at(x.data_ptr(), x.numel() * x.element_size()) if x.numel() else b""


def decode(frame: bytes) -> tuple[dict[str, Any], Observations]:
    """Read what `encode` wrote, believing nothing: whoever sent it may be hostile.

    Raises: BadFrame whatever is wrong with the bytes.
    """
    try:
        return read(frame)
    except BadFrame:
        raise
    except Exception as error:  # any malformed byte ends here, and only here
        raise BadFrame(f"no message of ours: {type(error).__name__}") from error


def read(frame: bytes) -> tuple[dict[str, Any], Observations]:
    """Read a frame, raising whatever its malformed bytes lead to."""
    (length,) = LENGTH.unpack_from(frame)
    start = LENGTH.size + length
    header = json.loads(frame[LENGTH.size : start])
    message, entries = header["message"], header["facts"]
    if not isinstance(message, dict) or len(entries) > MOST_FACTS:
        raise BadFrame("wanted a message and a list of facts")
    facts: Observations = {}
    for name, kind, *rest in entries:
        if not isinstance(name, str) or name in facts:
            raise BadFrame("wanted one fact for each name")
        if kind == "tensor":
            facts[name], start = read_tensor(frame, start, *rest)
        else:
            facts[name] = read_plain(kind, *rest)
    if start != len(frame):
        raise BadFrame(f"wanted {start} bytes, got {len(frame)}")
    return message, facts


def read_tensor(frame: bytes, start: int, name: str, shape: list[int]) -> tuple[Tensor, int]:
    """Read one tensor at `start`; returns it with the place where the next one begins."""
    dtype = DTYPES[name]
    if len(shape) > MOST_AXES or not all(type(size) is int and size >= 0 for size in shape):
        raise BadFrame("wanted a shape of a few whole numbers")
    count = 1
    for size in shape:
        count *= size
    end = start + count * dtype.itemsize
    if end > len(frame):
        raise BadFrame(f"wanted {end} bytes, got {len(frame)}")
    if not count:
        return torch.empty(shape, dtype=dtype), start
    copy = bytearray(frame[start:end])
    if dtype is torch.bool:  # a byte that is neither 0 nor 1 is no bool
        return torch.frombuffer(copy, dtype=torch.uint8).ne(0).view(shape), end
    return torch.frombuffer(copy, dtype=dtype).view(shape), end


def read_plain(kind: str, value: Fact) -> Fact:
    """Return a fact that is no tensor, if it is of the kind that it says."""
    if type(value).__name__ != kind or not isinstance(value, str | bool | int | float):
        raise BadFrame(f"wanted a fact of kind {kind!r:.40}, got {type(value).__name__}")
    return value
