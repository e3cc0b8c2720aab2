"""Observations survive the way as bytes; whatever else is sent is refused, and never run."""

import json
import math
import pickle
import struct

import pytest
import torch

from cleanformer_lite.checks import Observations
from cleanformer_lite.checks.grading.wire import BadFrame, decode, encode

ROOM = 1 << 20


@pytest.mark.parametrize(
    "x",
    [
        torch.arange(30.0).view(2, 3, 5),
        torch.arange(30.0).view(2, 3, 5).transpose(0, 2),
        torch.tensor([1.5, math.inf, math.nan], dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.tensor(7, dtype=torch.int64),
        torch.empty(0, 3),
        torch.tensor([1 + 2j]).conj(),
        torch.tensor([[1 + 2j, 3.0]], dtype=torch.complex128),
        torch.ones(3, requires_grad=True),
    ],
)
def test_tensor_arrives_as_it_was(x: torch.Tensor) -> None:
    _, observations = decode(encode({}, {"x": x}, ROOM))
    y = observations["x"]
    assert isinstance(y, torch.Tensor)
    assert (y.dtype, y.shape, y.requires_grad) == (x.dtype, x.shape, False)
    assert str(y.tolist()) == str(x.tolist())


def test_plain_observations_and_message_arrive_as_they_were() -> None:
    observations: Observations = {"a": True, "b": 3, "c": 0.5, "d": "tä\ud800xt", "e": -math.inf}
    message = {"outcome": "observed"}
    assert decode(encode(message, observations, ROOM)) == (message, observations)
    kinds = [type(fact) for fact in decode(encode(message, observations, ROOM))[1].values()]
    assert kinds == [bool, int, float, str, float]


def test_a_result_has_a_largest_size() -> None:
    encode({}, {"x": torch.zeros(100)}, 1000)
    with pytest.raises(BadFrame, match="at most 1000 bytes"):
        encode({}, {"x": torch.zeros(1000)}, 1000)
    with pytest.raises(BadFrame, match="at most 1000 bytes"):
        encode({}, {"x": "x" * 1000}, 1000)


def frame(tensors: object, blob: bytes = b"") -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + blob


def with_header(header: object, **tensors: object) -> bytes:
    """Write a frame with a header of any kind, and tensors of which no byte is sent."""
    text = json.dumps(header).encode()
    entry = {"dtype": "U8", "shape": [len(text)], "data_offsets": [0, len(text)]}
    empty = {"data_offsets": [len(text), len(text)]}
    others = {name: {**empty, **dict(told)} for name, told in tensors.items()}  # type: ignore[call-overload]
    return frame({"header": entry, **others}, text)


HEADER: dict[str, object] = {"message": {}, "values": {}, "double": []}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        pickle.dumps({"message": {}, "values": {}}),
        struct.pack("<Q", 1 << 60) + b"{}",
        frame({}),
        frame([]),
        with_header([]),
        with_header({**HEADER, "message": []}),
        with_header({"message": {}}),
        with_header({**HEADER, "values": {"x": [1]}}),
        with_header({**HEADER, "values": {"x": {}}}),
        with_header({**HEADER, "values": {f"x{i}": 1 for i in range(10_001)}}),
        with_header(HEADER) + b"more",
        with_header(HEADER)[:-1],
        with_header(HEADER, **{"no such name": {"dtype": "F32", "shape": [0]}}),
        with_header(HEADER, **{"tensor/x": {"dtype": "F32", "shape": [1 << 40]}}),
        with_header(HEADER, **{"tensor/x": {"dtype": "F32", "shape": [-1]}}),
        with_header(HEADER, **{"tensor/x": {"dtype": "OBJECT", "shape": [0]}}),
        with_header({**HEADER, "values": {"x": 1}}, **{"tensor/x": {"dtype": "F32", "shape": [0]}}),
        frame({"header": {"dtype": "U8", "shape": [9000], "data_offsets": [0, 9000]}}, b"[" * 9000),
    ],
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(BadFrame):
        decode(data)


def test_a_bool_is_made_of_zeros_and_ones() -> None:
    sent = encode({}, {"x": torch.tensor([False, True])}, ROOM)
    assert sent.endswith(b"\x00\x01") or b"\x00\x01" in sent
    x = decode(sent.replace(b"\x00\x01", b"\x00\xff"))[1]["x"]
    assert isinstance(x, torch.Tensor)
    assert x.view(torch.uint8).tolist() == [0, 1]
