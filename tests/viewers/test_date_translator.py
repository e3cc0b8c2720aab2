"""The page's arithmetic against torch: every held-out day, every map, every kind of attention."""

from contextlib import ExitStack
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser
from torch import Tensor

from cleanformer_lite import (
    FusedMultiHeadAttention,
    HeadsBuiltInForward,
    LoopedMultiHeadAttention,
    SlicedMultiHeadAttention,
)
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.checkpoints import load_model
from cleanformer_lite.translation.corpus import as_tensors, held_out_days
from cleanformer_lite.translation.decoding import greedy, translate
from cleanformer_lite.translation.korean_dates import every_day, in_english, in_korean
from cleanformer_lite.translation.looking_inside import (
    attention_maps,
    attention_modules,
    without_head,
)
from cleanformer_lite.translation.six_bits import rounded
from cleanformer_lite.translation.training import new_model
from cleanformer_lite.translation.vocabulary import END, NUMBERS, PAD, PIECES, korean_pieces
from cleanformer_lite.viewers.live_translator import described
from tests.viewers.date_translator import RunScript, runner

SMALL = {"embed_dim": 12, "num_heads": 3, "layers": 2, "hidden": 7}
LINES = """({ model, weights, sources, off }) => {
  const floats = weights && Object.fromEntries(
    Object.entries(weights).map(([name, numbers]) => [name, Float32Array.from(numbers)]));
  const write = dateTranslator(model.sizes, floats ?? unpack(model.weights));
  return sources.map((source) => write(source, new Set(off ?? [])).pieces);
}"""
ALL = """({ model, source }) =>
  dateTranslator(model.sizes, unpack(model.weights))(source)"""


@pytest.fixture(scope="module")
def run(chromium: Browser) -> RunScript:
    return runner(chromium)


def numbers_of(texts: list[str]) -> list[list[int]]:
    return [[NUMBERS[piece] for piece in korean_pieces(text)] for text in texts]


def lines(written: list[list[int]]) -> list[str]:
    return ["".join(PIECES[number] for number in row if number != END) for row in written]


HELD_OUT = [in_korean(day) for day in held_out_days()]


@pytest.fixture(scope="module")
def in_float32() -> list[str]:
    return translate(load_model()[0], HELD_OUT)


def test_every_held_out_day_is_translated_as_python_does_it_in_float32(
    run: RunScript, in_float32: list[str]
) -> None:
    model = described("fused", load_model()[0], None)
    written = run(LINES, {"model": model, "sources": numbers_of(HELD_OUT)})
    assert len(written) == 7305
    assert lines(written) == in_float32
    right = [in_english(day) for day in held_out_days()]
    assert sum(a == b for a, b in zip(in_float32, right, strict=True)) >= 7300


def test_six_bits_change_no_translation(in_float32: list[str]) -> None:
    assert translate(rounded(load_model()[0]), HELD_OUT) == in_float32


def test_without_rounding_the_page_does_the_same(run: RunScript, in_float32: list[str]) -> None:
    model = load_model()[0]
    weights = {name: tensor.flatten().tolist() for name, tensor in model.state_dict().items()}
    given = {"model": described("fused", model, None), "weights": weights}
    written = run(LINES, {**given, "sources": numbers_of(HELD_OUT[:200])})
    assert lines(written) == in_float32[:200]


@pytest.mark.parametrize(
    "off",
    [
        ["decoder 0/1"],
        ["cross 0/3", "cross 1/3", "encoder 0/1"],
        [f"cross {i}/{h}" for i in (0, 1) for h in range(4)],
        [f"decoder 0/{h}" for h in range(4)],
    ],
)
def test_without_heads_both_make_the_same_mistakes(run: RunScript, off: list[str]) -> None:
    model = rounded(load_model()[0])
    modules = attention_modules(model)
    with ExitStack() as silent:
        for name, head in (key.split("/") for key in off):
            silent.enter_context(without_head(modules[name], int(head)))
        expected = translate(model, HELD_OUT[:150])
    assert expected != [in_english(day) for day in held_out_days()[:150]]
    given = {"model": described("fused", model, None), "sources": numbers_of(HELD_OUT[:150])}
    assert lines(run(LINES, {**given, "off": off})) == expected


@pytest.mark.parametrize(
    "attention", [LoopedMultiHeadAttention, FusedMultiHeadAttention, SlicedMultiHeadAttention]
)
def test_maps_and_shares_are_those_of_torch(run: RunScript, attention: Any) -> None:
    torch.manual_seed(1)
    model = new_model(**SMALL, attention=attention).eval()
    given = described("small", model, None)
    text = in_korean(every_day()[4321])
    found = run(ALL, {"model": given, "source": numbers_of([text])[0]})
    # Sliced heads are rounded as one block-diagonal matrix, so the other side is rebuilt from that.
    same = with_letters(given)
    source, _ = as_tensors(([text], ["Monday, May 1, 1900"]))
    assert greedy(same, source)[0].tolist() == found["pieces"]
    target = torch.tensor([[1, *found["pieces"][:-1]]])
    maps = attention_maps(same, source, target)
    assert set(found["maps"]) == set(maps)
    for name, expected in maps.items():
        for head in range(SMALL["num_heads"]):
            for row, shares in enumerate(found["maps"][name][head]):
                wanted = expected[0, head, row, : len(shares)].tolist()
                assert shares == pytest.approx(wanted, abs=1e-5)
    sure: Tensor = same(source, target)[0].softmax(-1).amax(-1)
    assert found["shares"] == pytest.approx(sure.tolist(), abs=1e-5)


def with_letters(given: dict[str, Any]) -> Transformer:
    """Read the letters as another hand would: by their position in the alphabet of base64."""
    import base64

    from cleanformer_lite import SplitMultiHeadAttention

    model = new_model(**SMALL, attention=SplitMultiHeadAttention).eval()
    letters, at = given["weights"]["letters"], 0
    read = {}
    for name, shape, steps in given["weights"]["tensors"]:
        size = torch.Size(shape).numel()
        # "A" in front of each three letters: four letters are three bytes, the last six bits count.
        values = [
            base64.b64decode("AAA" + letter)[2] % 64 - 31 for letter in letters[at : at + size]
        ]
        rows = torch.tensor(values).view(len(steps), -1) * torch.tensor(steps)[:, None]
        read[name] = rows.view(shape)
        at += size
    assert at == len(letters)
    model.load_state_dict(read)
    return model


def test_heads_built_in_forward_write_another_line_each_time(run: RunScript) -> None:
    torch.manual_seed(0)
    model = new_model(**SMALL, attention=HeadsBuiltInForward).eval()
    given = {"model": described("drawn", model, None), "sources": numbers_of(HELD_OUT[:1] * 12)}
    written = run(LINES, given)
    assert len({tuple(row) for row in written}) > 1


def test_heads_are_drawn_as_linear_layers_begin(run: RunScript) -> None:
    """With `random` always 1, weights and biases are all at the upper end, 1 / sqrt(E)."""
    torch.manual_seed(0)
    model = new_model(**SMALL, attention=HeadsBuiltInForward).eval()
    given = described("drawn", model, None)
    text = HELD_OUT[0]
    body = """({ model, source }) =>
      dateTranslator(model.sizes, unpack(model.weights), () => 1)(source)"""
    found = run(body, {"model": given, "source": numbers_of([text])[0]})
    kept = new_model(**SMALL).eval()
    state = dict(rounded(model).state_dict())
    for name, tensor in kept.state_dict().items():
        state.setdefault(name, torch.full_like(tensor, SMALL["embed_dim"] ** -0.5))
    kept.load_state_dict(state)
    source, _ = as_tensors(([text], ["Monday, May 1, 1900"]))
    written = greedy(kept, source)[0].tolist()
    assert [number for number in written if number != PAD] == found["pieces"]


def test_every_day_is_written_as_python_writes_it(run: RunScript) -> None:
    days = every_day()[::7] + every_day()[-400:]
    body = """({ days, pieces }) => days.map((day) =>
      [inKorean(readDay(day)).join(" "), inEnglish(readDay(day), pieces)])"""
    found = run(body, {"days": [day.isoformat() for day in days], "pieces": PIECES})
    assert found == [[in_korean(day), in_english(day)] for day in days]
