"""Modules as people write them: what is right is left alone, what is wrong is named."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite import Expect, examine
from cleanformer_lite.checks.mistakes import MISTAKES

EMBED_DIM, NUM_HEADS, HEAD_DIM = 20, 4, 5
KEEP = Expect(mask="keep")


def tokens(batch: int = 3, length: int = 7) -> Tensor:
    return torch.randn(batch, length, EMBED_DIM, generator=torch.Generator().manual_seed(2))


def heads(x: Tensor, count: int = NUM_HEADS) -> Tensor:
    return x.view(*x.shape[:2], count, HEAD_DIM).transpose(1, 2)


class Parts(nn.Module):
    """Four projections; `forward` is the function that it is given."""

    def __init__(self, forward: Callable[..., Any], key_heads: int = NUM_HEADS) -> None:
        super().__init__()
        self.key_heads = key_heads
        self.q, self.o = (nn.Linear(EMBED_DIM, EMBED_DIM) for _ in "qo")
        self.k, self.v = (nn.Linear(EMBED_DIM, HEAD_DIM * key_heads) for _ in "kv")
        self.written = forward

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        key, value = (heads(layer(x), self.key_heads) for layer in (self.k, self.v))
        return heads(self.q(x)), key, value

    def scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value = self.qkv(x)
        return query @ key.mT * HEAD_DIM**-0.5, value

    def end(self, weights: Tensor, value: Tensor) -> Tensor:
        output: Tensor = self.o((weights @ value).transpose(1, 2).flatten(2))
        return output

    def forward(self, x: Tensor, mask: Any = None) -> Any:
        return self.written(self, x) if mask is None else self.written(self, x, mask)


@dataclass
class Record:
    hidden: Tensor
    maps: Any = None


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(20, 60)

    def forward(self, x: Tensor) -> Tensor:
        y = self.qkv(x).view(x.shape[0], x.shape[1], 3, 4, 5).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(y[0] @ y[1].transpose(-2, -1) / 5**0.5, -1)
        mixed: Tensor = weights @ y[2]
        return mixed.transpose(1, 2).flatten(2)


class Buffers(nn.Module):
    """Keeps its weights as buffers, as what is frozen or quantized may."""

    w: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w", torch.randn(3, EMBED_DIM, EMBED_DIM) / 4)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (heads(x @ w) for w in self.w.unbind())
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def maps_first(self: Parts, x: Tensor) -> tuple[Tensor, Tensor]:
    scores, value = self.scores(x)
    return scores.softmax(-1), self.end(scores.softmax(-1), value)


def record(self: Parts, x: Tensor) -> Record:
    return Record(maps_first(self, x)[1])


def with_null_key(self: Parts, x: Tensor, mask: Tensor | None = None) -> Tensor:
    scores, value = self.scores(x)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -1e9)
    scores = torch.cat([torch.ones_like(scores[..., :1]), scores], -1)
    return self.end(scores.softmax(-1), F.pad(value, (0, 0, 1, 0), value=0.7))


def with_a_sink(self: Parts, x: Tensor, mask: Tensor | None = None) -> Tensor:
    scores, value = self.scores(x)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -1e9)
    scores = torch.cat([scores, torch.ones_like(scores[..., :1])], -1)
    return self.end(scores.softmax(-1)[..., :-1], value)


def windows(self: Parts, x: Tensor, mask: Tensor | None = None) -> Tensor:
    scores, value = self.scores(x)
    if mask is not None:  # (windows, L, L)
        count, length = mask.shape[0], x.shape[1]
        scores = scores.view(-1, count, NUM_HEADS, length, length) + mask[None, :, None]
    return self.end(scores.reshape(-1, NUM_HEADS, x.shape[1], x.shape[1]).softmax(-1), value)


def in_turn(self: Parts, x: Tensor) -> Tensor:
    query, key, value = self.qkv(x)
    key, value = key.repeat(1, 2, 1, 1), value.repeat(1, 2, 1, 1)
    output: Tensor = self.o(F.scaled_dot_product_attention(query, key, value).mT.flatten(1, 2).mT)
    return output


def causal(x: Tensor) -> Tensor:
    return torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()


def drops_causality(self: Parts, x: Tensor, mask: Tensor | None = None) -> Tensor:
    scores, value = self.scores(x)
    return self.end(
        scores.masked_fill(~(causal(x) if mask is None else mask), -1e9).softmax(-1), value
    )


class TakesPadding(Parts):
    def forward(self, x: Tensor, key_padding_mask: Any = None) -> Any:
        mask = None if key_padding_mask is None else ~key_padding_mask[:, None, None]
        return drops_causality(self, x, mask)


RIGHT: dict[str, tuple[Callable[[], nn.Module], Expect | None]] = {
    "the maps come first": (lambda: Parts(maps_first), None),
    "a record is returned": (lambda: Parts(record), None),
    "a null key": (lambda: Parts(with_null_key), KEEP),
    "a sink": (lambda: Parts(with_a_sink), KEEP),
    "as many windows as samples": (lambda: Parts(windows), None),
    "weights are buffers": (Buffers, None),
    "scripted": (lambda: torch.jit.script(Scripted()), None),
    "key heads in turn": (lambda: Parts(in_turn, key_heads=2), None),
    "key heads in turn, declared": (lambda: Parts(in_turn, 2), Expect(grouped="tile")),
    "a mask that may carry causality": (lambda: Parts(drops_causality), None),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_never_accused(name: str) -> None:
    torch.manual_seed(0)
    make, expect = RIGHT[name]
    report = examine(make(), tokens(4 if "windows" in name else 3), expect=expect)
    assert report.passed, report


def after_softmax(self: Parts, x: Tensor) -> Tensor:
    scores, value = self.scores(x)
    return self.end(scores.softmax(-1).tril(), value)


def multiplied(self: Parts, x: Tensor) -> Tensor:
    scores, value = self.scores(x)
    return self.end((scores * causal(x)).softmax(-1), value)


def too_weak(self: Parts, x: Tensor) -> Tensor:
    scores, value = self.scores(x)
    return self.end(scores.masked_fill(~causal(x), -2.0).softmax(-1), value)


def infinite(self: Parts, x: Tensor, mask: Tensor | None = None) -> Tensor:
    scores, value = self.scores(x)
    weights = scores.softmax(-1)
    if mask is not None:
        weights = weights.masked_fill(~mask[:, None, None], -torch.inf)
    return self.end(weights, value)


def values_hidden(self: Parts, x: Tensor, mask: Tensor | None = None) -> Tensor:
    scores, value = self.scores(x)
    if mask is not None:
        value = value.masked_fill(~mask[:, None, :, None], 0.0)
    return self.end(scores.softmax(-1), value)


def added(self: Parts, x: Tensor, mask: Tensor | None = None) -> Tensor:
    scores, value = self.scores(x)
    return self.end((scores if mask is None else scores + mask[:, None, None]).softmax(-1), value)


def over_heads(self: Parts, x: Tensor) -> Tensor:
    scores, value = self.scores(x)
    return self.end(scores.softmax(1), value)


def over_heads_and_keys(self: Parts, x: Tensor) -> Tensor:
    scores, value = self.scores(x)
    wide = scores.transpose(1, 2)  # (N, L, H, S)
    return self.end(wide.flatten(2).softmax(-1).view(wide.shape).transpose(1, 2), value)


class Summed(Parts):
    def __init__(self) -> None:
        super().__init__(lambda self, x: None, key_heads=2)
        self.o = nn.Linear(2 * HEAD_DIM, EMBED_DIM)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        query, key, value = self.qkv(x)
        query = query.unflatten(1, (2, 2)).sum(2)
        return self.end((query @ key.mT * HEAD_DIM**-0.5).softmax(-1), value)


def laid_out_twice(self: Parts, x: Tensor) -> Tensor:
    query, key, value = self.qkv(x)
    key, value = key.repeat_interleave(2, 1), value.repeat(1, 2, 1, 1)
    return self.end((query @ key.mT * HEAD_DIM**-0.5).softmax(-1), value)


def merged_with_heads_first(self: Parts, x: Tensor) -> Tensor:
    batch, length, _ = x.shape
    query, key, value = (part.transpose(0, 1).flatten(0, 1) for part in self.qkv(x))
    mixed = (query @ key.mT * HEAD_DIM**-0.5).softmax(-1) @ value
    mixed = mixed.view(batch, NUM_HEADS, length, HEAD_DIM).transpose(1, 2).flatten(2)
    output: Tensor = self.o(mixed)
    return output


WRONG: dict[str, tuple[Callable[[], nn.Module], Expect | None, str]] = {
    "a triangle after the softmax": (lambda: Parts(after_softmax), None, "mask_after_softmax"),
    "a triangle times the scores": (lambda: Parts(multiplied), None, "mask_multiplied"),
    "a triangle that is too weak": (lambda: Parts(too_weak), None, "fill_too_weak"),
    "infinity after the softmax": (lambda: Parts(infinite), None, "mask_after_softmax"),
    "values are hidden": (lambda: Parts(values_hidden), KEEP, "padding_in_normalizer"),
    "a mask of truth is added": (lambda: Parts(added), KEEP, "mask_added"),
    "the softmax runs over heads": (lambda: Parts(over_heads), None, "softmax_over_heads"),
    "the softmax runs over heads and keys": (
        lambda: Parts(over_heads_and_keys),
        None,
        "softmax_over_heads",
    ),
    "a group is summed": (Summed, None, "grouped_heads_summed"),
    "keys and values lie apart": (lambda: Parts(laid_out_twice, 2), None, "grouped_heads_tiled"),
    "in turn, declared in groups": (
        lambda: Parts(in_turn, 2),
        Expect(grouped="interleave"),
        "grouped_heads_tiled",
    ),
    "samples merged": (lambda: Parts(merged_with_heads_first), None, "merge_mixes_batch"),
    "a mask drops causality": (
        lambda: Parts(drops_causality),
        Expect(causal=True, mask="keep"),
        "causal_mask_shifted",
    ),
    "padding drops causality": (lambda: TakesPadding(record), None, "causal_mask_shifted"),
    **{
        f"{name}, as kept": (
            partial(MISTAKES[name].classes[0], EMBED_DIM, NUM_HEADS),
            None,
            name,
        )
        for name in ("grouped_heads_summed", "grouped_heads_tiled", "padding_in_normalizer")
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str) -> None:
    torch.manual_seed(0)
    make, expect, mistake = WRONG[name]
    report = examine(make(), tokens(), expect=expect)
    assert [finding.mistake for finding in report.findings] == [mistake], report


def test_a_compiled_model_is_asked_as_it_was_written() -> None:
    torch.manual_seed(0)
    compiled: Any = torch.compile(Parts(over_heads), backend="eager")
    report = examine(compiled, tokens())
    assert [finding.mistake for finding in report.findings] == ["softmax_over_heads"], report


@pytest.mark.filterwarnings("ignore")
def test_masks_of_an_encoder_and_a_decoder_are_asked_inside() -> None:
    model = nn.Transformer(EMBED_DIM, NUM_HEADS, 1, 1, 24, batch_first=True)
    report = examine(model, tokens(), tokens(length=5))
    assert report.passed, report
    assert len(report.modules) == 3


def test_query_heads_in_turn_are_noted() -> None:
    report = examine(Parts(in_turn, 2), tokens())
    assert any("in turn (0 1 0 1)" in note for note in report.notes), report


def test_a_layout_of_groups_is_one_of_two() -> None:
    assert Expect.parse("grouped=tile") == Expect(grouped="tile")
    with pytest.raises(ValueError, match="interleave, tile, got 'both'"):
        Expect(grouped="both")
