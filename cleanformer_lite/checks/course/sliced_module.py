"""Exercise: the whole module of sliced heads, asked for what it shows whatever its layers are."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn

from cleanformer_lite.checks.engine import references
from cleanformer_lite.checks.engine.function_probe import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.engine.observe import leaves
from cleanformer_lite.checks.engine.trials import draw
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import known_in
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention

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
    output, _ = module(x)
    weights = list(module.parameters())
    gradients = torch.autograd.grad(torch.sum(output * factors(output)), weights, allow_unused=True)
    found = sum(int((g != 0).sum()) for g in gradients if g is not None)
    return {"from the output": found, "from the maps": moving(module, x)}


@torch.no_grad()
def moving(module: nn.Module, x: Tensor) -> int:
    """Count the weights that move the maps, one by one; maps may come without a gradient."""
    maps = module(x)[1]  # where gradients are recorded, the last digit may be another
    found = 0
    for parameter in module.parameters():
        before = parameter.clone()
        for place in range(parameter.numel()):
            parameter.view(-1)[place] += 1.0
            found += not torch.equal(module(x)[1], maps)
            parameter.copy_(before)
    return found


def rank(module: nn.Module, x: Tensor) -> int:
    """Give every feature alone, as the only token of a call, and count what comes out.

    Of three draws of the weights the largest count: one in a thousand is so near to a smaller rank
    that float32 cannot tell.
    """
    features = torch.eye(x.shape[-1])[:, None, None]  # one by one: samples may be mixed up
    found = 0
    for seed in range(3):
        output = torch.cat([module(feature)[0].reshape(1, -1) for feature in features])
        found = max(found, int(torch.linalg.matrix_rank(output.double(), rtol=1e-6)))
        if found == x.shape[-1]:
            break
        draw_weights(module, x, Generator().manual_seed(seed))
    return found


def filled(module: nn.Module, x: Tensor) -> Any:
    """Call it with every weight at 0.5: then no order of layers makes a difference."""
    with torch.no_grad():
        for weight in (*module.parameters(), *hidden(module, x)):
            weight.fill_(0.5)
    return module(x)


def hidden(module: nn.Module, x: Tensor) -> list[Tensor]:
    """List the weights that make the output and are no parameters: a plain list keeps them."""
    known = {id(parameter) for parameter in module.parameters()}
    with torch.enable_grad():
        return [leaf for leaf in leaves(module(x)[0]) if id(leaf) not in known]


@torch.no_grad()
def draw_weights(module: nn.Module, x: Tensor, generator: Generator) -> None:
    """Fill everything that the output is made with, in the order in which it is kept."""
    for weight in (*module.parameters(), *hidden(module, x)):
        weight.copy_(torch.randn(weight.shape, generator=generator))


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
        draw_weights(module, x, generator)
        with torch.no_grad():
            if not torch.equal(module(x)[0], module(x)[0]):
                return {"two calls agree": False}
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

EXERCISES = (MODULE,)
