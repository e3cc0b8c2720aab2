"""Exercises of the chapter on sliced heads: what is read, and blocks with zeros around."""

from typing import Any

import torch
from torch import Generator, Tensor

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.compare import shown
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.trials import draw
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import known_in


class Maps:
    """Attention maps of heads that are given by their matrices `(H, D, E)`."""

    def __init__(self, query: Tensor, key: Tensor) -> None:
        self.query = query
        self.key = key

    def __call__(self, x: Tensor) -> Tensor:
        query, key = (x.unsqueeze(1) @ w.transpose(-2, -1) for w in (self.query, self.key))
        scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        return torch.softmax(scores, dim=-1)  # (N, H, L, L)

    def __repr__(self) -> str:
        return f"<maps with W_Q = {shown(self.query)}, W_K = {shown(self.key)}>"


def reads_case(name: str, fails: str, query: list[Any] | int, key: list[Any] | int) -> Case:
    """A case of `features_read`: which features the matrices read, or the chance that they do."""

    def matrix(generator: Generator, reads: list[Any] | int) -> Tensor:
        if isinstance(reads, list):
            kept = torch.tensor(reads, dtype=torch.float32).unsqueeze(1)  # (H, E) -> (H, 1, E)
            return draw(generator, *kept.shape, by_hand=True).clamp(-1.0, 1.0) * kept
        drawn = draw(generator, 3, 2, 7, by_hand=False)
        drawn = 0.4 * drawn.sign() * drawn.abs().clamp(0.4, 1.5)
        return drawn * (torch.rand(3, 1, 7, generator=generator) * 100 < reads)

    def make(generator: Generator) -> Arguments:
        maps_of = Maps(matrix(generator, query), matrix(generator, key))
        width = maps_of.query.shape[-1]
        # Numbers are bounded: a softmax that is all or nothing has no gradient to look at.
        x = 0.5 * draw(generator, 1, 3, width, by_hand=True).clamp(-2.0, 2.0)
        return {"maps_of": maps_of, "x": x}

    return Case(name, fails, make)


READS = Exercise(
    id="sliced_heads.reads",
    title="Which features does a head read?",
    entry_point="features_read",
    prompt=(
        "Write `features_read(maps_of, x)`. `maps_of(x)` returns the weights `(N, H, L, L)` of "
        "some attention module for `x` of shape `(N, L, E)`. The result is boolean, `(H, E)`: "
        "True where the map of head h depends on input feature e. You cannot see the module's "
        "code; a sliced one shows blocks, a split one is True everywhere."
    ),
    starter="def features_read(maps_of, x):\n    raise NotImplementedError\n",
    hints=(
        "Change one feature, and see which maps change.",
        "A feature may be read by the query alone or by the key alone. Adding the same amount to "
        "every key changes nothing in a softmax: so change one token.",
        "For each e: `y = x.clone()`, `y[:, -1, e] += 1`, and "
        "`(maps_of(y) - maps_of(x)).abs().amax(dim=(0, 2, 3)) > 1e-5` is column e of the result.",
    ),
    points=2,
    minutes=10,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            reads_case("tiny", "heads_told_apart", [[1, 0], [0, 1]], [[1, 0], [0, 1]]),
            reads_case("tiny_keys", "sees_what_keys_read", [[1, 0]], [[0, 1]]),
            reads_case("all", "finds_every_feature", 100, 100),
            reads_case("some", "any_pattern", 50, 30),
        ),
        reference=lambda maps_of, x: references.features_read(
            maps_of, x, references.change_one_token
        ),
        mistakes=known_in("sliced_heads.reads"),
    ),
)


def blocks_case(name: str, fails: str, heads: int, width: int) -> Case:
    """A case of `block_diagonal`: counted numbers when there are few."""
    small = heads * width <= 4

    def make(generator: Generator) -> Arguments:
        if small:
            return {"weights": torch.arange(1.0, heads * width**2 + 1).view(heads, width, width)}
        return {"weights": torch.randn(heads, width, width, generator=generator)}

    return Case(name, fails, make, gradient=not small)


BLOCKS = Exercise(
    id="sliced_heads.block_diagonal",
    title="The zeros of a sliced matrix",
    entry_point="block_diagonal",
    prompt=(
        "Write `block_diagonal(weights)`. `weights` is `(H, D, D)`: `weights[h]` is what an "
        "`nn.Linear(D, D)` for slice h keeps, rows are outputs. The result is `(E, E)`: what one "
        "`nn.Linear(E, E)` has to keep to do the same to all slices at once."
    ),
    starter="def block_diagonal(weights):\n    raise NotImplementedError\n",
    hints=(
        "Row i of the big matrix makes output i. Which inputs may it read?",
        "Begin with zeros `(E, E)`. Head h owns D rows and the same D columns.",
        "`big[h * D : (h + 1) * D, h * D : (h + 1) * D] = weights[h]` for each h, or "
        "`torch.block_diag(*weights)`.",
    ),
    points=1,
    minutes=5,
    difficulty=1,
    probe=FunctionProbe(
        cases=(
            blocks_case("tiny", "blocks_on_the_diagonal", 2, 1),
            blocks_case("tiny_wide", "rows_are_outputs", 2, 2),
            blocks_case("large", "any_sizes", 3, 5),
        ),
        reference=references.block_diagonal,
        mistakes=known_in("sliced_heads.block_diagonal"),
    ),
)

EXERCISES = (READS, BLOCKS)
