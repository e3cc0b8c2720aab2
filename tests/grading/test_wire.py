"""Observations survive the way as bytes; whatever else is sent is refused, and never run."""

import json
import math
import pickle
import struct
from typing import Any

import numpy as np
import pytest
import torch

from cleanformer_lite.checks import EXERCISES, Exercise, NoAnswer, judge
from cleanformer_lite.checks.grading.wire import BadFrameError, decode, encode
from cleanformer_lite.checks.observations import CaseOutcome, FunctionObservations, Other, WrongKind
from tests.checks.test_judging import SEED, paths, right_observations

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
    y = sent(x)
    assert isinstance(y, torch.Tensor)
    assert (y.dtype, y.shape, y.requires_grad) == (x.dtype, x.shape, False)
    assert str(y.tolist()) == str(x.tolist())


def sent(value: Any) -> Any:
    """Return what arrives where this is sent as a function's result."""
    case = FunctionObservations({"a": CaseOutcome(value)})
    _, observed = decode(encode({}, case, ROOM))
    assert isinstance(observed, FunctionObservations)
    return observed.cases["a"].result


@pytest.mark.parametrize("value", [True, 3, 0.5, "tä\ud800xt", -math.inf, Other("set"), None])
def test_numbers_text_and_message_arrive_as_they_were(value: Any) -> None:
    assert sent(value) == value
    assert type(sent(value)) is type(value)
    message = {"outcome": "observed"}
    for one in (NoAnswer(), WrongKind("int")):
        assert decode(encode(message, one, ROOM)) == (message, one)


def test_what_is_of_a_class_of_its_own_arrives_as_what_it_is() -> None:
    """An answer may return NumPy's floats, or a class that it made."""

    class Mine(str):
        pass

    assert type(sent(np.float64(0.5))) is float
    assert type(sent(Mine("x"))) is str
    with pytest.raises(BadFrameError, match="object"):
        sent(object())


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.id)
def test_all_that_is_seen_of_an_answer_arrives(exercise: Exercise) -> None:
    observed = right_observations(exercise)
    _, arrived = decode(encode({}, observed, 8 * ROOM))
    assert type(arrived) is type(observed)
    before, after = list(paths(observed)), list(paths(arrived))
    assert [path for path, _ in before] == [path for path, _ in after]
    for (path, one), (_, other) in zip(before, after, strict=True):
        assert type(one) is type(other), path
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, path
    assert judge(exercise, arrived, SEED).passed


def test_a_result_has_a_largest_size() -> None:
    def result(value: Any) -> FunctionObservations:
        return FunctionObservations({"a": CaseOutcome(value)})

    encode({}, result(torch.zeros(100)), 1000)
    for large in (torch.zeros(1000), "x" * 1000):
        with pytest.raises(BadFrameError, match="at most 1000 bytes"):
            encode({}, result(large), 1000)


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


NOTHING: dict[str, Any] = {"record": "NoAnswer", "named": {}}
HEADER: dict[str, Any] = {"message": {}, "observed": NOTHING, "double": []}


def observed(packed: object, **tensors: object) -> bytes:
    return with_header({**HEADER, "observed": packed}, **tensors)


def case(**fields: object) -> bytes:
    """Write a frame with one case, of which some fields are forged."""
    whole: dict[str, object] = {
        "result": None,
        "error": None,
        "after": {"named": {}},
        "gradients": {"named": {}},
    }
    outcome = {"record": "CaseOutcome", "named": {**whole, "gradient_error": None, **fields}}
    cases = {"named": {"a": outcome}}
    return observed({"record": "FunctionObservations", "named": {"cases": cases}})


def test_what_follows_is_refused_for_what_is_forged_in_it() -> None:
    assert isinstance(decode(case())[1], FunctionObservations)
    assert isinstance(decode(with_header(HEADER))[1], NoAnswer)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        pickle.dumps({"message": {}, "observed": NOTHING}),
        struct.pack("<Q", 1 << 60) + b"{}",
        frame({}),
        frame([]),
        with_header([]),
        with_header({**HEADER, "message": []}),
        with_header({"message": {}}),
        with_header(HEADER) + b"more",
        with_header(HEADER)[:-1],
        observed(None),
        observed("text"),
        observed([NOTHING]),
        observed({"named": {"cases": {"named": {}}}}),
        observed({"record": "Raised", "named": {"text": "x", "is_stub": False}}),
        observed({"record": "NoAnswer", "named": {"points": 2}}),
        observed({"record": "WrongKind", "named": {}}),
        observed({"record": "WrongKind", "named": {"kind": 3}}),
        observed({"record": "Report", "named": {}}),
        observed({"record": "__class__", "named": {}}),
        observed({"record": ["NoAnswer"], "named": {}}),
        observed({"record": "NoAnswer", "named": []}),
        observed({"record": "NoAnswer", "named": {}, "more": 1}),
        observed({"tensor": "header"}),
        observed({"tensor": "no such name"}),
        observed({"tensor": ["x"]}),
        case(result={"named": {}}),
        case(result=[1]),
        case(result=NOTHING),
        case(error="text"),
        case(error={"record": "Raised", "named": {"text": "x", "is_stub": 1}}),
        case(after=None),
        case(after={"named": {"x": None}}),
        case(more=1),
        case(after={"named": {f"x{i}": 1 for i in range(10_001)}}),
        case(result={"record": "Listed", "named": {"length": 2.0, "items": []}}),
        case(result={"record": "Listed", "named": {"length": True, "items": []}}),
        case(result={"record": "Listed", "named": {"length": 2, "items": [None]}}),
        with_header(HEADER, x={"dtype": "F32", "shape": [1 << 40]}),
        with_header(HEADER, x={"dtype": "F32", "shape": [-1]}),
        with_header(HEADER, x={"dtype": "OBJECT", "shape": [0]}),
        with_header(HEADER, x={"dtype": "F8_E4M3", "shape": [0]}),
        frame({"header": {"dtype": "U8", "shape": [9000], "data_offsets": [0, 9000]}}, b"[" * 9000),
    ],
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(BadFrameError):
        decode(data)


def test_a_bool_is_made_of_zeros_and_ones() -> None:
    case = FunctionObservations({"a": CaseOutcome(torch.tensor([False, True]))})
    data = encode({}, case, ROOM)
    assert data.count(b"\x00\x01") == 1
    _, arrived = decode(data.replace(b"\x00\x01", b"\x00\xff"))
    assert isinstance(arrived, FunctionObservations)
    x = arrived.cases["a"].result
    assert isinstance(x, torch.Tensor)
    assert x.view(torch.uint8).tolist() == [0, 1]
