"""One attention problem, and everybody's answer to it: output, weights and all gradients."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from cleanformer_lite import LoopedMultiHeadAttention, SplitMultiHeadAttention
from tests import oracles

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")
Answer = Callable[["Problem"], tuple[Tensor, Tensor | None]]


@dataclass
class Problem:
    """Sizes, random weights and inputs in float64, and a mask `(N, H, L, S)` or None."""

    batch: int
    length: int
    keys: int
    num_heads: int
    head_dim: int
    bias: bool = True
    mask: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.embed_dim = self.num_heads * self.head_dim
        self.leaves: dict[str, Tensor] = {
            "query": self.random(self.batch, self.length, self.embed_dim),
            "key": self.random(self.batch, self.keys, self.embed_dim),
            "value": self.random(self.batch, self.keys, self.embed_dim),
        }
        for name in PROJECTIONS:
            width = self.embed_dim**-0.5
            weight = width * self.random(self.embed_dim, self.embed_dim).detach()
            self.leaves[f"{name}.weight"] = weight.requires_grad_()
            if self.bias:
                self.leaves[f"{name}.bias"] = self.random(self.embed_dim)
        self.upstream = self.random(self.batch, self.length, self.embed_dim).detach()
        self.is_causal = "causal" in self.mask
        self.attn_mask = self.make_mask()

    def random(self, *shape: int) -> Tensor:
        x = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return x.requires_grad_()

    def make_mask(self) -> Tensor | None:
        shape = (self.batch, self.num_heads, self.length, self.keys)
        coins = torch.rand(shape, generator=self.generator) < 0.5
        if "padding" in self.mask:  # row n keeps its first n + 1 keys
            kept = torch.arange(self.keys) <= torch.arange(self.batch)[:, None]
            return kept[:, None, None, :]
        if "boolean" in self.mask:  # every query may read at least one key
            coins[..., 0] |= ~coins.any(-1)
            return coins
        if "masked rows" in self.mask:  # and here the last query of every second head reads none
            coins[:, ::2, -1] = False
            return coins
        if "one for all" in self.mask:  # the axes left out are stretched
            coins[..., 0] = True
            return coins[0, 0]
        return None

    def may_attend(self, n: int, h: int, i: int, j: int) -> bool:
        """Say it from the mask as given and the meaning of causal, for one pair of positions."""
        given = True
        if self.attn_mask is not None:
            shape = (self.batch, self.num_heads, self.length, self.keys)
            given = bool(self.attn_mask.expand(shape)[n, h, i, j])
        return given and (j <= i or not self.is_causal)

    def whole_mask(self) -> Tensor:
        """Write the mask out as `(N, H, L, S)`, causality included."""
        return torch.tensor(
            [
                [
                    [[self.may_attend(n, h, i, j) for j in range(self.keys)] for i in range(length)]
                    for h in range(self.num_heads)
                ]
                for n, length in enumerate([self.length] * self.batch)
            ]
        )

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.leaves["query"], self.leaves["key"], self.leaves["value"]

    def gradients(self, output: Tensor) -> dict[str, Tensor]:
        """Differentiate the output by every input and every weight."""
        loss = (output * self.upstream).sum()
        grads = torch.autograd.grad(loss, list(self.leaves.values()))
        return dict(zip(self.leaves, grads, strict=True))


def problems(*masks: str) -> st.SearchStrategy[Problem]:
    """Draw problems whose sizes N, L, S, H, D all differ and share no factor."""

    @st.composite
    def draw_problem(draw: st.DrawFn) -> Problem:
        num_heads = draw(st.integers(1, 8))
        primes = [p for p in (2, 3, 5, 7, 11, 13) if num_heads % p]
        head_dim = draw(
            st.sampled_from([p for p in primes[:2] if p * num_heads <= 16] or primes[:1])
        )
        primes.remove(head_dim)
        batch, (length, keys) = primes[0], draw(st.permutations(primes[1:3]))
        return Problem(
            batch,
            length,
            keys,
            num_heads,
            head_dim,
            bias=draw(st.booleans()),
            mask=draw(st.sampled_from(masks)),
            seed=draw(st.integers(0, 99)),
        )

    return draw_problem()


def run(module: nn.Module, weights: dict[str, Tensor], problem: Problem) -> tuple[Tensor, Tensor]:
    output, attention = functional_call(
        module,
        weights,
        problem.inputs(),
        {
            "attn_mask": problem.attn_mask,
            "is_causal": problem.is_causal,
            "need_weights": True,
        },
        strict=True,
    )
    return output, attention


def by_looped(problem: Problem) -> tuple[Tensor, Tensor]:
    """Hand head h its rows of each projection."""
    module = LoopedMultiHeadAttention(problem.embed_dim, problem.num_heads, bias=problem.bias)
    weights = {}
    for name, leaf in problem.leaves.items():
        if name.startswith("out_proj"):
            weights[name] = leaf
        elif "_proj" in name:
            for h in range(problem.num_heads):
                rows = slice(h * problem.head_dim, (h + 1) * problem.head_dim)
                weights[f"heads.{h}.{name}"] = leaf[rows]
    return run(module.double(), weights, problem)


def by_split(problem: Problem) -> tuple[Tensor, Tensor]:
    module = SplitMultiHeadAttention(problem.embed_dim, problem.num_heads, bias=problem.bias)
    weights = {name: leaf for name, leaf in problem.leaves.items() if "_proj" in name}
    return run(module.double(), weights, problem)


def by_torch_module(problem: Problem) -> tuple[Tensor, Tensor]:
    """`torch.nn.MultiheadAttention`, whose masks say True = may not attend."""
    module = nn.MultiheadAttention(
        problem.embed_dim, problem.num_heads, bias=problem.bias, batch_first=True
    ).double()
    kinds = ("weight", "bias") if problem.bias else ("weight",)
    weights = {f"out_proj.{kind}": problem.leaves[f"out_proj.{kind}"] for kind in kinds}
    for kind in kinds:
        parts = [problem.leaves[f"{name}.{kind}"] for name in PROJECTIONS[:3]]
        weights[f"in_proj_{kind}"] = torch.cat(parts)
    options = {
        "attn_mask": ~problem.whole_mask().flatten(0, 1),  # (N, H, L, S) -> (N * H, L, S)
        "average_attn_weights": False,
    }
    output, attention = functional_call(module, weights, problem.inputs(), options, strict=True)
    return output, attention


def by_torch_function(problem: Problem) -> tuple[Tensor, None]:
    """`F.scaled_dot_product_attention`, with the projections written around it."""

    def project(name: str, x: Tensor) -> Tensor:
        return F.linear(x, problem.leaves[f"{name}.weight"], problem.leaves.get(f"{name}.bias"))

    query, key, value = (
        torch.stack(project(name, x).chunk(problem.num_heads, dim=-1), dim=1)
        for name, x in zip(PROJECTIONS[:3], problem.inputs(), strict=True)
    )
    read = F.scaled_dot_product_attention(query, key, value, attn_mask=problem.whole_mask())
    return project("out_proj", torch.cat(read.unbind(1), dim=-1)), None


def by_indices(problem: Problem) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The loop over indices: output, weights and gradients, none of them by torch."""
    with without_garbage_collection():
        return loop_over_indices(problem)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """A million small objects, all in use: looking for garbage among them doubles the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def loop_over_indices(problem: Problem) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    leaves = {name: oracles.numbers(leaf.tolist()) for name, leaf in problem.leaves.items()}
    projections = {
        name: (leaves[f"{name}.weight"], leaves.get(f"{name}.bias")) for name in PROJECTIONS
    }
    output, weights = oracles.multi_head(
        projections,
        leaves["query"],
        leaves["key"],
        leaves["value"],
        problem.num_heads,
        problem.may_attend,
    )
    oracles.backward(output, problem.upstream.tolist())
    gradients = {name: tensor(oracles.slopes(leaf)) for name, leaf in leaves.items()}
    return tensor(oracles.values(output)), tensor(oracles.values(weights)), gradients


def tensor(nested: oracles.Nested) -> Tensor:
    return torch.tensor(nested, dtype=torch.float64)


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


def assert_same_answer(problem: Problem, ours: Answer, theirs: Answer) -> None:
    """Compare outputs, weights where both give them, and all gradients."""
    (output, weights), (expected, expected_weights) = ours(problem), theirs(problem)
    assert_close(output, expected)
    if weights is not None and expected_weights is not None:
        assert_close(weights, expected_weights)
    gradients = problem.gradients(output)
    for name, gradient in problem.gradients(expected).items():
        assert_close(gradients[name], gradient)


def assert_as_by_indices(problem: Problem, *answers: Answer) -> None:
    """Compare output, weights and all gradients of each answer with the loop over indices."""
    expected, expected_weights, expected_gradients = by_indices(problem)
    for answer in answers:
        output, weights = answer(problem)
        assert_close(output, expected)
        if weights is not None:
            assert_close(weights, expected_weights)
        for name, gradient in problem.gradients(output).items():
            assert_close(gradient, expected_gradients[name])
