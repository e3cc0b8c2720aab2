import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import torch

from cleanformer_lite.timing import Rates, Shape, measure_or_recall
from cleanformer_lite.timing.recall import Timings, recall
from cleanformer_lite.timing.recordings import (
    COLUMNS,
    FOLDER,
    Birth,
    Recording,
    file_for,
    find_recording,
)
from cleanformer_lite.timing.sweep import Point, Row
from cleanformer_lite.timing.units import Quartiles

BIRTH = Birth(
    device="a card", driver="13.0", tf32=False, threads=None, torch="2.11", date="2026-01-02",
    kind="cuda", commit="abc1234", command="a command",
)  # fmt: skip
ROW = Row(
    "fused", 1, 64, 1024, 16, "bfloat16", False, Quartiles(1e-5, 2e-5, 3e-5),
    Quartiles(1.0, 1.0, 1.0), 25, 3, "flash", 4096, 1e-6, Quartiles(5e-6, 6e-6, 7e-6), 3, None,
)  # fmt: skip
LOOP = replace(ROW, variant="looped", ratio=Quartiles(3.9, 4.0, 4.123456789), operators=114)
RATES = {"bfloat16": Rates(8e14, 4e12, 5e-6)}
RECORDING = Recording(BIRTH, RATES, [ROW, LOOP])
BOTH = ("fused", "looped")
POINT = Point(Shape(1, 64, 1024, 16), torch.bfloat16)
POSITIVE = {"type": "number", "exclusiveMinimum": 0}
SPREAD = {"type": "array", "items": POSITIVE, "minItems": 3, "maxItems": 3}
COUNT = {"type": "integer", "minimum": 1}
CELLS = {
    "variant": {"type": "string"},
    "batch": COUNT,
    "length": COUNT,
    "embed_dim": COUNT,
    "num_heads": COUNT,
    "dtype": {"enum": ["float32", "bfloat16", "float16"]},
    "backward": {"type": "boolean"},
    "time": SPREAD,
    "ratio": SPREAD,
    "rounds": {"type": "integer", "minimum": 2},
    "operators": {"type": ["integer", "null"]},
    "kernel": {"type": ["string", "null"]},
    "peak_memory": {"type": ["integer", "null"]},
    "floor": POSITIVE,
    "device_time": {"anyOf": [SPREAD, {"type": "null"}]},
    "launches": {"type": ["integer", "null"]},
    "compile_time": {"type": ["number", "null"]},
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["birth", "rates", "columns", "rows"],
    "properties": {
        "birth": {
            "type": "object",
            "required": ["device", "kind", "torch", "commit", "command", "date"],
            "properties": {
                "device": {"type": "string", "minLength": 3},
                "kind": {"enum": ["cpu", "cuda"]},
                "commit": {"type": "string", "pattern": "^[0-9a-f]{7,40}(-dirty)?$"},
                "date": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
            },
        },
        "rates": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["flops", "bandwidth", "launch"],
                "additionalProperties": POSITIVE,
            },
        },
        "columns": {"const": list(CELLS)},
        "rows": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "array",
                "prefixItems": list(CELLS.values()),
                "minItems": len(CELLS),
                "maxItems": len(CELLS),
            },
        },
    },
}
SHIPPED = sorted(FOLDER.glob("timing-*.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_what_is_shipped_follows_the_schema(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(content)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_no_row_contradicts_itself(path: Path) -> None:
    for row in Recording.load(path).times:
        for spread in (row.time, row.ratio):
            assert spread.lower <= spread.median <= spread.upper
        if row.variant == "fused":
            assert row.ratio == (1.0, 1.0, 1.0)
        if row.variant == "looped" and not row.backward:
            assert row.operators == 7 * row.num_heads + 2


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_variant_has_one_row_at_each_point(path: Path) -> None:
    def point(row: Row) -> tuple[object, ...]:
        sizes = row.batch, row.length, row.embed_dim, row.num_heads
        return row.variant, *sizes, row.dtype, row.backward

    points = [point(row) for row in Recording.load(path).times]
    assert len(points) == len(set(points))


def test_the_columns_are_those_of_the_schema_and_of_the_readme() -> None:
    assert list(CELLS) == COLUMNS
    text = (FOLDER / "README.md").read_text(encoding="utf8")
    assert [name for name in COLUMNS if f"`{name}`" not in text] == []


def test_saved_and_loaded_it_is_the_same_but_for_the_fifth_digit(tmp_path: Path) -> None:
    path = tmp_path / "timing-a-card.json"
    RECORDING.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["timing-a-card.json"]
    loaded = Recording.load(path)
    rounded = replace(LOOP, ratio=Quartiles(3.9, 4.0, 4.123))
    assert loaded == Recording(BIRTH, RATES, [ROW, rounded])
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(path.read_text()))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:100],
        lambda text: text.replace('"columns"', '"pillars"'),
        lambda text: text.replace('"variant"', '"name"'),
        lambda text: text.replace('["fused", 1,', '["fused",'),
        lambda text: text.replace('"commit"', '"comment"'),
    ],
)
def test_a_damaged_recording_is_refused_by_name(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "timing-damaged.json"
    RECORDING.save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=r"wanted a recording of times in .*timing-damaged\.json"):
        Recording.load(path)


def test_a_recording_survives_a_column_more_and_a_column_less(tmp_path: Path) -> None:
    path = tmp_path / "timing-a-card.json"
    RECORDING.save(path)
    content = json.loads(path.read_text())
    content["columns"] = ["moon", *content["columns"]]
    content["birth"]["weather"] = content["rates"]["bfloat16"]["tides"] = 7
    content["rows"] = [["full", *cells] for cells in content["rows"]]
    path.write_text(json.dumps(content))
    assert Recording.load(path).times[0] == ROW

    at = content["columns"].index("launches")
    for cells in (content["columns"], *content["rows"]):
        del cells[at]
    path.write_text(json.dumps(content))
    assert Recording.load(path).times[0] == replace(ROW, launches=None)


def test_a_card_is_described_as_far_as_it_could_be_read() -> None:
    clocks = {"clocks.sm": 1410, "clocks.mem": 1593, "clocks.max.sm": 1410, "clocks.max.mem": 1593}
    known = replace(BIRTH, capability="8.0", clocks=clocks, backends=["flash", "math"])
    assert "compute capability 8.0, at 1410 MHz, commit abc1234" in str(known)
    assert "capability" not in str(BIRTH)


def test_the_newest_recording_of_a_kind_is_found(tmp_path: Path) -> None:
    assert find_recording("cuda", tmp_path) is None
    for name, kind, date in (("d", "cuda", "2026-01-02"), ("b", "cuda", "2026-03-01"),
                             ("c", "cpu", "2026-09-09")):  # fmt: skip
        recording = replace(RECORDING, birth=replace(BIRTH, device=name, kind=kind, date=date))
        recording.save(tmp_path / f"timing-{name}.json")
    found = find_recording("cuda", tmp_path)
    assert found is not None
    assert found.birth.device == "b"


def test_a_recording_is_named_after_its_device() -> None:
    name = file_for("cpu", Path("folder")).name
    assert name.startswith("timing-")
    assert name.endswith("cpu.json")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


def test_recalled_numbers_carry_their_birth() -> None:
    text = str(recall(RECORDING, "cuda", [POINT], ["fused", "looped"]))
    assert "4.00 (3.90 to 4.12)" in text
    assert "20 us" in text
    for fact in ("Recorded: a card, CUDA 13.0, TF32 off, torch 2.11, 2026-01-02, commit abc1234",):
        assert fact in text


def test_what_was_not_measured_is_said_and_not_guessed() -> None:
    none = recall(None, "cuda", [POINT], ["fused"])
    missing, elsewhere = str(none).split("\n")
    assert none.times == []
    assert missing.startswith("Not measured: no GPU here, and no recording from one yet.")
    assert missing.endswith("running this cell measures.")
    for part in ("somebody else", "A100", "N = 8, L = 1024, E = 768, H = 12", "loop 4.68 ms"):
        assert part in elsewhere
    assert "somebody else" not in str(recall(None, "cpu", [POINT], ["fused"]))
    other = Point(Shape(1, 64, 1024, 8), torch.bfloat16)
    assert str(recall(RECORDING, "cuda", [other], ["fused"])).startswith("Not measured at these")
    beside = str(Timings([ROW, LOOP, replace(ROW, num_heads=8)], "here", BOTH))
    assert beside.splitlines()[2].split()[-2:] == ["not", "measured"]


@pytest.mark.parametrize(
    "other",
    [{"backward": True}, {"batch": 2}, {"length": 65}, {"embed_dim": 96}, {"num_heads": 8},
     {"dtype": "float32"}, {"variant": "split"}],
)  # fmt: skip
def test_only_what_was_asked_for_is_recalled(other: dict[str, object]) -> None:
    recording = replace(RECORDING, times=[ROW, replace(ROW, **other)])  # type: ignore[arg-type]
    assert recall(recording, "cuda", [POINT], ["fused"]).times == [ROW]


def test_a_ratio_that_straddles_one_is_marked_as_equal() -> None:
    same = replace(LOOP, ratio=Quartiles(0.98, 1.01, 1.04))
    assert "1.01 (0.98 to 1.04) =" in str(Timings([ROW, same], "here", BOTH))
    assert "=" not in str(Timings([ROW, LOOP], "here", BOTH))


@pytest.fixture
def known_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    recalling = sys.modules["cleanformer_lite.timing.recall"]
    monkeypatch.setattr(recalling, "measure_rates", lambda device, dtype: Rates(1e9, 1e9, 1e-6))


def test_measured_here_says_so(known_rates: None) -> None:
    found = measure_or_recall(
        ["fused", "looped"], lengths=[5], heads=[1, 3], embed_dim=15, device="cpu"
    )
    assert [(row.variant, row.num_heads) for row in found.times] == [
        ("fused", 1), ("looped", 1), ("fused", 3), ("looped", 3),
    ]  # fmt: skip
    assert found.source.startswith("Measured now: forward on N = 1, E = 15 float32,\n1 thread of")


def test_without_a_gpu_one_is_recalled_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    module = sys.modules["cleanformer_lite.timing.recall"]
    monkeypatch.setattr(module, "find_recording", lambda kind: RECORDING)
    found = measure_or_recall(["fused", "looped"], lengths=[64], heads=[16])
    assert found.times == [ROW, LOOP]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert measure_or_recall(["fused"], lengths=[64], heads=[16], live=False).times == [ROW]
    monkeypatch.setattr(module, "find_recording", lambda kind: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert measure_or_recall().times == []


@pytest.mark.parametrize(
    ("trouble", "said"),
    [(KeyboardInterrupt, "interrupted"), (torch.OutOfMemoryError, "no memory left")],
)
def test_what_was_measured_is_kept_whatever_ends_it(
    trouble: type[BaseException], said: str, monkeypatch: pytest.MonkeyPatch, known_rates: None
) -> None:
    def breaks_off(*given: object, **options: object) -> Iterator[list[Row]]:
        yield [ROW, LOOP]
        raise trouble

    module = sys.modules["cleanformer_lite.timing.recall"]
    monkeypatch.setattr(module, "sweep", breaks_off)
    found = measure_or_recall(["fused", "looped"], lengths=[5], heads=[1, 3], embed_dim=15,
                              device="cpu")  # fmt: skip
    assert found.times == [ROW, LOOP]
    assert f"; {said} after 2 of 4 times." in found.source


def test_a_quick_run_ends_in_time_and_says_so(
    monkeypatch: pytest.MonkeyPatch, known_rates: None
) -> None:
    recalling = sys.modules["cleanformer_lite.timing.recall"]
    monkeypatch.setattr(recalling, "LIMIT", 0.0)
    found = measure_or_recall(["fused", "looped"], lengths=[5], heads=[1, 3], embed_dim=15,
                              device="cpu")  # fmt: skip
    assert [(row.variant, row.num_heads, row.rounds) for row in found.times] == [
        ("fused", 1, 1), ("looped", 1, 1),
    ]  # fmt: skip
    assert "; 0 s were over after 2 of 4 times." in found.source


def test_no_size_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted a length and a number of heads, got none"):
        measure_or_recall(lengths=[])


def test_other_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted device 'cuda' or 'cpu', got 'tpu'"):
        measure_or_recall(device="tpu")
