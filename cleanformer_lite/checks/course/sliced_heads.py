"""Exercises of the chapter on sliced heads: what is read, blocks with zeros around, a module."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.compare import shown
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.trials import draw
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import known_in
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention


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


# What the module is asked about, word for word as the card shows it.
COUNT, EQUAL, FEATURES, ORDER, RANK, USED = (
    "its number of weights",
    "output and weights, all parameters 0.5",
    "the features that each map reads",
    "how far the order of tokens matters",
    "how many directions the output of one token has",
    "how many weights gradients reach",
)


def factors(like: Tensor) -> Tensor:
    """Give every number a factor of its own, so that no sum is constant."""
    return torch.linspace(0.3, 1.7, like.numel()).view(like.shape)


def map_reads(module: nn.Module, x: Tensor) -> Tensor:
    """Say which features each map depends on."""
    return references.features_read(lambda x: module(x)[1], x, references.change_one_token)


def order_matters(module: nn.Module, x: Tensor) -> bool:
    """Compare with the same tokens in another order; nothing may be left over."""
    output, _ = module(x)
    turned, _ = module(x.flip(1))
    return bool((output - turned.flip(1)).abs().amax() > 1e-4)


def reached(module: nn.Module, x: Tensor) -> dict[str, int]:
    """Count the weights that a gradient of the output reaches, and those that move the maps."""
    output, maps = module(x)
    weights = list(module.parameters())
    gradients = torch.autograd.grad(torch.sum(output * factors(output)), weights, allow_unused=True)
    found = sum(int((g != 0).sum()) for g in gradients if g is not None)
    return {"from the output": found, "from the maps": moving(module, x, maps)}


@torch.no_grad()
def moving(module: nn.Module, x: Tensor, maps: Tensor) -> int:
    """Count the weights that move the maps, one by one; maps may come without a gradient."""
    found = 0
    for parameter in module.parameters():
        before = parameter.clone()
        for place in range(parameter.numel()):
            parameter.view(-1)[place] += 1.0
            found += not torch.equal(module(x)[1], maps)
            parameter.copy_(before)
    return found


def rank(module: nn.Module, x: Tensor) -> int:
    """Give every feature to a sample of its own, one token long, and count what comes out."""
    output, _ = module(torch.eye(x.shape[-1])[:, None])
    return int(torch.linalg.matrix_rank(output[:, 0].double(), rtol=1e-6))


def filled(module: nn.Module, x: Tensor) -> Any:
    """Call it with every parameter at 0.5: then no order of layers makes a difference."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.5)
    return module(x)


ASK: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    COUNT: lambda module, x: sum(p.numel() for p in module.parameters()),
    EQUAL: filled,
    FEATURES: map_reads,
    ORDER: order_matters,
    RANK: rank,
    USED: reached,
}


def asked(build: Callable[[int, int], nn.Module]) -> Callable[..., Any]:
    """Build the module, fill it with numbers of its own, and find out one thing about it."""

    def find_out(about: str, embed_dim: int, num_heads: int, x: Tensor) -> Any:
        module = build(embed_dim, num_heads)
        if not isinstance(module, nn.Module):
            return module
        # The same numbers for the same x, whatever else was drawn before.
        generator = Generator().manual_seed(int(1e4 * float(x.abs().sum())))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        return ASK[about](module, x)

    return find_out


def module_case(name: str, fails: str, about: str, *sizes: int) -> Case:
    """A case of `SlicedHeads`: sizes are N, L, H, D."""
    batch, length, heads, width = sizes
    small = heads * width <= 4

    def make(generator: Generator) -> Arguments:
        x = 0.5 * draw(generator, batch, length, heads * width, by_hand=small)
        return {"about": about, "embed_dim": heads * width, "num_heads": heads, "x": x}

    return Case(name, fails, make)


MODULE = Exercise(
    id="sliced_heads.module",
    title="A module of sliced heads",
    entry_point="SlicedHeads",
    prompt=(
        "Write `class SlicedHeads(nn.Module)`: `(embed_dim, num_heads)` and "
        "`forward(x) -> (output, weights)`. `output` is `(N, L, E)`, `weights` is `(N, H, L, L)`. "
        "Head h reads features h * D to (h + 1) * D and no other; it has three matrices of its "
        "own, D to D. An output projection maps E to E. There are no biases and no masks."
    ),
    starter=(
        "class SlicedHeads(nn.Module):\n"
        "    def __init__(self, embed_dim, num_heads):\n"
        "        super().__init__()\n"
        "        raise NotImplementedError\n\n"
        "    def forward(self, x):\n"
        "        raise NotImplementedError\n"
    ),
    hints=(
        "Cut first, project after. The rest is the loop of chapter 3.",
        "`x.split(D, dim=-1)` cuts. One `nn.Linear(D, D)` for all slices would be the public bug: "
        "each head needs three of its own, in an `nn.ModuleList`.",
        "For head h: `q, k, v = (layer(part) for layer in self.heads[h])`, "
        "`torch.softmax(q @ k.transpose(-2, -1) / D**0.5, dim=-1)`; `torch.cat` the outputs, "
        "`torch.stack` the maps along axis 1, then the output projection.",
    ),
    points=3,
    minutes=15,
    difficulty=2,
    probe=FunctionProbe(
        cases=(
            module_case("tiny", "equal_by_hand", EQUAL, 1, 2, 2, 1),
            module_case("tiny_count", "matrices_of_their_own", COUNT, 1, 1, 2, 2),
            module_case("tiny_reads", "each_head_reads_its_slice", FEATURES, 1, 3, 2, 2),
            module_case("large_reads", "any_sizes", FEATURES, 2, 3, 3, 5),
            module_case("large", "equal_in_any_size", EQUAL, 2, 5, 3, 7),
            module_case("order", "permutation_equivariance", ORDER, 2, 5, 3, 7),
            module_case("used", "gradients_reach_all", USED, 2, 4, 2, 3),
            module_case("rank", "every_head_reaches_the_output", RANK, 1, 1, 3, 5),
        ),
        reference=references.with_weights(SlicedMultiHeadAttention),
        mistakes=known_in("sliced_heads.module"),
        adapt=asked,
    ),
)

EXERCISES = (READS, BLOCKS, MODULE)
