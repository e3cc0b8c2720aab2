"""What a card says when no mistake fits: what does not hold, and which stage goes wrong first."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cleanformer_lite.checks import EXERCISES, check, judge, observe
from cleanformer_lite.checks.engine.function_probe import FunctionProbe
from cleanformer_lite.checks.engine.sentences import SENTENCES
from tests.checks.fused_specimens import SPLIT, WEIGHTS, WITH_MASK, answer

DROP = "dropped = F.dropout(weights, self.p, self.training)"
OUT = "self.proj(mixed), weights"
Swaps = tuple[tuple[str, str], ...]

# One line changed, and how the stage that goes wrong first is called; nothing where none is said.
STAGES: dict[str, tuple[str, Swaps]] = {
    "scaled by a third": ("scale: scores are 0.333", (("sqrt(self.d)", "sqrt(9 * self.d)"),)),
    "sigmoid": ("softmax: a single token", ((WEIGHTS, "weights = scores.sigmoid()"),)),
    "normalised twice": (
        "softmax: the ratio of two",
        ((WEIGHTS, "w = scores.softmax(-2)\n        weights = w / w.sum(-1, keepdim=True)"),),
    ),
    "divided by another sum": (
        "softmax: the scores are right",
        (
            (
                WEIGHTS,
                "p = scores.exp()\n        weights = p / (p.sum(-1, keepdim=True) + (l > 1))",
            ),
        ),
    ),
    "every other key blocked": (
        "mask: without one",
        ((WITH_MASK, "allowed = allowed & attn_mask.roll(1, -1)"),),
    ),
    "output without the mask": (
        "mix: with a mask",
        ((DROP, "open_ = torch.einsum('nhld,nhsd->nhls', q, k).div(math.sqrt(self.d))\n        "
          "dropped = F.dropout(open_.softmax(-1), self.p, self.training)"),),
    ),
    "weights squared in the mix": ("mix or merge", ((DROP, "dropped = weights**2"),)),
    "features scaled": (
        "merge or output",
        ((OUT, "self.proj(mixed) * torch.linspace(1, 2, e), weights"),),
    ),
    "twice": ("output: it is 2 times", ((OUT, "2 * self.proj(mixed), weights"),)),
    "other weights returned": (
        "returned weights",
        ((OUT, "self.proj(mixed), weights.mT"),),
    ),
    "positions added": ("", ((SPLIT, "x = x + torch.arange(l)[:, None]\n        " + SPLIT),)),
}  # fmt: skip


@pytest.mark.parametrize("name", STAGES)
def test_the_stage_that_goes_wrong_first_is_said(name: str) -> None:
    stage, swaps = STAGES[name]
    report = check("split_heads.module", answer(*swaps))
    assert not report.passed
    assert report.species == (), report
    assert report.stage.startswith(stage), report
    assert (report.stage == "") == (stage == "")
    assert ("Goes wrong first: " in str(report)) == (stage != "")


def test_an_attention_that_mixes_wrongly_says_so() -> None:
    def wrong(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        scores = query @ key.mT / query.shape[-1] ** 0.5
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -1e30)
        weights = scores.softmax(-1)
        weights = weights if attn_mask is None else weights * attn_mask
        return weights @ value**2, weights

    report = check("single_head.attention", wrong)
    assert report.stage.startswith("mix or merge")


def test_every_property_is_a_sentence() -> None:
    for exercise in EXERCISES.values():
        if isinstance(exercise.probe, FunctionProbe):
            assert set(exercise.properties) <= set(SENTENCES)
    asked = {name for e in EXERCISES.values() for name in e.properties}
    assert set(SENTENCES) <= asked
    assert all(text[0].isupper() and text[-1] == "." for text in SENTENCES.values())


def test_the_card_says_what_does_not_hold_and_stays_short() -> None:
    text = str(check("split_heads.module", answer((OUT, "self.proj(mixed).flip(1), weights"))))
    assert "What does not hold: Two calls" not in text
    assert "Tokens in another order give outputs in that order." in text
    assert len(text.splitlines()) <= 8
    merged = str(check("split_heads.merge", lambda x: x.flip(1).transpose(1, 2).flatten(2)))
    assert "A head's D numbers stand side by side in the token." in merged


class Broken(nn.Module):
    """Returns NaN in a chosen part, in every second call or always."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = answer()(embed_dim, num_heads, dropout)
        self.calls = 0

    def forward(self, *given: Any, **named: Any) -> tuple[Tensor, Tensor]:
        output, weights = self.inner(*given, **named)
        self.calls += 1
        return self.spoilt(output, weights)

    def spoilt(self, output: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        return output * torch.nan, weights


class InWeights(Broken):
    def spoilt(self, output: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        return output, weights * torch.nan


class EverySecond(Broken):
    def spoilt(self, output: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        return output * (torch.nan if self.calls % 2 else 1.0), weights


@pytest.mark.parametrize("module", [Broken, InWeights, EverySecond])
def test_nan_is_said_in_words_and_never_wanted(module: type[nn.Module]) -> None:
    report = check("split_heads.module", module)
    case = report.counterexample
    assert case is not None
    assert "NaN" in case.yours
    assert "nan" not in case.target.lower()


def test_nan_of_a_function_is_said_in_words() -> None:
    report = check(
        "transformer.loss", lambda predict, target, padding: predict(target).sum() * torch.nan
    )
    assert "yours: NaN" in str(report)
    blind = check("single_head.mask", lambda s, mask: s.masked_fill(~mask, -torch.inf).softmax(-1))
    assert "yours: [[NaN, NaN]" in str(blind)


def test_numbers_that_look_alike_are_told_apart() -> None:
    def nearly(query: Tensor, key: Tensor) -> Tensor:
        scores: Tensor = query @ key.mT / query.shape[-1] ** 0.5
        return scores + 2e-4

    exercise, seed = EXERCISES["single_head.scores"], 3  # others round to digits that differ
    case = judge(exercise, observe(exercise, nearly, seed), seed).counterexample
    assert case is not None
    assert case.yours == f"{case.target}, off by 0.0002"
