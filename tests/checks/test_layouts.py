"""No right answer is refused for how its weights lie, nor for a seed."""

import pytest
import torch
from torch import nn

from cleanformer_lite.checks import EXERCISES, judge, observe
from tests.checks.layouts import Layout, layouts, module_of, some_layouts

MODULE = EXERCISES["split_heads.module"]


@pytest.mark.parametrize("layout", some_layouts(40), ids=str)
def test_a_right_module_passes_however_its_weights_lie(layout: Layout) -> None:
    report = judge(MODULE, observe(MODULE, module_of(layout), 3), 3)
    assert report.passed, report


def test_there_are_hundreds_of_layouts() -> None:
    assert len(set(layouts())) > 500


class Louder(nn.Module):
    """Multiplies the output of whatever stands behind it."""

    def forward(self, *given: object, **named: object) -> tuple[torch.Tensor, torch.Tensor]:
        output, weights = super().forward(*given, **named)
        return 1.5 * output, weights


def test_a_wrong_module_is_seen_however_its_weights_lie() -> None:
    for layout in some_layouts(6, seed=1):
        wrong = type("Wrong", (Louder, module_of(layout)), {})
        assert not judge(MODULE, observe(MODULE, wrong, 3), 3).passed, layout


@pytest.mark.parametrize("seed", range(1000, 1020))
def test_a_right_module_passes_with_every_seed(seed: int) -> None:
    layout = Layout(("qkv",), "rhde", "qkvo", True, "oi")
    report = judge(MODULE, observe(MODULE, module_of(layout), seed), seed)
    assert report.passed, report


class Flat(nn.Module):
    """All weights in one flat parameter, and the scale to be chosen."""

    scale = 0.5

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes = (embed_dim, num_heads)
        self.flat = nn.Parameter(torch.randn(4 * embed_dim * embed_dim))
        self.drop = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        width, heads = self.sizes
        q, k, v, o = self.flat.view(4, width, width)
        q, k, v = ((x @ w.t()).unflatten(-1, (heads, -1)).transpose(1, 2) for w in (q, k, v))
        allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
        allowed = allowed.tril() if is_causal else allowed
        allowed = allowed if attn_mask is None else allowed & attn_mask
        scores = q @ k.mT * q.shape[-1] ** -self.scale
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1).masked_fill(~allowed, 0.0)
        return (self.drop(weights) @ v).transpose(1, 2).flatten(2) @ o.t(), weights


def test_weights_in_one_flat_parameter_are_compared_too() -> None:
    assert judge(MODULE, observe(MODULE, Flat, 3), 3).passed
    unscaled = type("Unscaled", (Flat,), {"scale": 0.0})
    report = judge(MODULE, observe(MODULE, unscaled, 3), 3)
    assert report.species == ("scale_missing",)


class Arranged(nn.Module):
    """Heads side by side in an order of their own, or features before heads, and nothing else."""

    order = (3, 0, 2, 1)
    strided = False
    zeroes_after = False
    drops_output = False

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q, self.k, self.v, self.o = (nn.Linear(embed_dim, embed_dim) for _ in "qkvo")
        self.drop = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        made = (layer(x).unflatten(-1, (self.num_heads, -1)) for layer in (self.q, self.k, self.v))
        q, k, v = (part.transpose(1, 2) for part in made)  # (N, L, H, D) -> (N, H, L, D)
        allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
        allowed = allowed.tril() if is_causal else allowed
        allowed = allowed if attn_mask is None else allowed & attn_mask
        scores = q @ k.mT * q.shape[-1] ** -0.5
        if not self.zeroes_after:
            scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1).masked_fill(~allowed, 0.0)
        heads = (weights if self.drops_output else self.drop(weights)) @ v
        if self.strided:
            merged = heads.permute(0, 2, 3, 1).flatten(2)
        else:
            order = [head for head in self.order if head < self.num_heads]
            merged = torch.cat([heads[:, head] for head in order], dim=-1)
        output = self.o(merged)
        return self.drop(output) if self.drops_output else output, weights


def arranged(**options: object) -> type[nn.Module]:
    """Choose how heads are arranged, and what is wrong beside it."""
    return type("Arranged", (Arranged,), {"order": (3, 0, 2, 1), **options})


ARRANGED = [{"order": (3, 0, 2, 1)}, {"order": (1, 2, 3, 0)}, {"strided": True}]


@pytest.mark.parametrize("options", ARRANGED, ids=str)
def test_whose_head_comes_first_is_an_answers_own_affair(options: dict[str, object]) -> None:
    """It is equal to torch once the columns of its output matrix stand in that order."""
    report = judge(MODULE, observe(MODULE, arranged(**options), 3), 3)
    assert report.passed, report


@pytest.mark.parametrize("options", ARRANGED, ids=str)
def test_a_mistake_is_named_however_heads_are_arranged(options: dict[str, object]) -> None:
    wrong = arranged(**options, zeroes_after=True)
    report = judge(MODULE, observe(MODULE, wrong, 3), 3)
    assert report.species == ("mask_after_softmax",), report


@pytest.mark.parametrize("options", ARRANGED, ids=str)
def test_dropout_elsewhere_is_seen_however_heads_are_arranged(options: dict[str, object]) -> None:
    report = judge(MODULE, observe(MODULE, arranged(**options, drops_output=True), 3), 3)
    assert report.failed == ("dropout_falls_on_weights",), report
