"""Facts survive the way as bytes; whatever else is sent is refused, never believed, never run."""

import json
import math
import pickle

import pytest
import torch

from cleanformer_lite.checks import Observations
from cleanformer_lite.grading.framing import LENGTH, BadFrame, decode, encode

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
        torch.ones(3, requires_grad=True),
    ],
)
def test_tensor_arrives_as_it_was(x: torch.Tensor) -> None:
    _, facts = decode(encode({}, {"x": x}, ROOM))
    y = facts["x"]
    assert isinstance(y, torch.Tensor)
    assert (y.dtype, y.shape, y.requires_grad) == (x.dtype, x.shape, False)
    assert str(y.tolist()) == str(x.tolist())


def test_plain_facts_and_message_arrive_as_they_were() -> None:
    facts: Observations = {"a": True, "b": 3, "c": 0.5, "d": "tä\ud800xt", "e": -math.inf}
    message = {"outcome": "observed"}
    assert decode(encode(message, facts, ROOM)) == (message, facts)
    kinds = [type(fact) for fact in decode(encode(message, facts, ROOM))[1].values()]
    assert kinds == [bool, int, float, str, float]


def test_a_result_has_a_largest_size() -> None:
    encode({}, {"x": torch.zeros(100)}, 1000)
    with pytest.raises(BadFrame, match="at most 1000 bytes"):
        encode({}, {"x": torch.zeros(1000)}, 1000)
    with pytest.raises(BadFrame, match="at most 1000 bytes"):
        encode({}, {"x": "x" * 1000}, 1000)


def frame(header: object, blob: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return LENGTH.pack(len(text)) + text + blob


def with_facts(*facts: object) -> object:
    return {"message": {}, "facts": facts}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        pickle.dumps({"message": {}, "facts": []}),
        LENGTH.pack(1 << 60) + b"{}",
        frame([]),
        frame({"message": [], "facts": []}),
        frame({"message": {}}),
        frame(with_facts(["x", "tensor", "float32", [2]]), b"1234"),
        frame(with_facts(["x", "tensor", "float32", [1]]), b"12345678"),
        frame(with_facts(["x", "tensor", "float32", [-1]]), b"1234"),
        frame(with_facts(["x", "tensor", "float32", [0, 10**30]])),
        frame(with_facts(["x", "tensor", "float32", [1 << 62, 4]]), b"1234"),
        frame(with_facts(["x", "tensor", "object", [1]]), b"12345678"),
        frame(with_facts(["x", "tensor", "float32", [1] * 99]), b"1234"),
        frame(with_facts(["x", "tensor", "float32", [True]]), b"1234"),
        frame(with_facts(["x", "int", "1"])),
        frame(with_facts(["x", "list", [1]])),
        frame(with_facts(["x", "NoneType", None])),
        frame(with_facts(["x", "int", 1], ["x", "int", 2])),
        frame(with_facts([1, "int", 1])),
        frame(with_facts(*([f"x{i}", "int", 1] for i in range(10_001)))),
        LENGTH.pack(200_000) + b"[" * 200_000,
    ],
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(BadFrame):
        decode(data)


def test_a_bool_is_made_of_zeros_and_ones() -> None:
    _, facts = decode(frame(with_facts(["x", "tensor", "bool", [2]]), b"\x00\xff"))
    x = facts["x"]
    assert isinstance(x, torch.Tensor)
    assert x.view(torch.uint8).tolist() == [0, 1]
