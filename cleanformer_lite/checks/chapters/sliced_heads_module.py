"""Exercise: a module of sliced heads, tried by what its heads read and never by its attributes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn

from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.functions import Arguments, Case, FunctionProbe
from cleanformer_lite.checks.probes import draw
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention
from cleanformer_lite.split_heads import SplitMultiHeadAttention

COUNT, EQUAL, READS, ORDER, USED = (
    "its number of weights",
    "output and weights, all parameters 0.5",
    "the features that each map reads",
    "how far the order of tokens matters",
    "the parameters without a gradient",
)


def factors(like: Tensor) -> Tensor:
    """Give every number a factor of its own, so that no sum is constant."""
    return torch.linspace(0.3, 1.7, like.numel()).view(like.shape)


def map_reads(module: nn.Module, x: Tensor) -> Tensor:
    """Say by gradients which features each map depends on."""
    leaf = x.clone().requires_grad_()
    maps = module(leaf)[1]
    rows = []
    for head in range(maps.shape[1]):
        loss = torch.sum(maps[:, head] * factors(maps[:, head]))
        (gradient,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        rows.append(gradient.abs().amax(dim=(0, 1)) > 1e-7)
    return torch.stack(rows)


def order_matters(module: nn.Module, x: Tensor) -> bool:
    """Compare with the same tokens in another order; nothing may be left over."""
    output, _ = module(x)
    turned, _ = module(x.flip(1))
    return bool((output - turned.flip(1)).abs().amax() > 1e-4)


def without_gradient(module: nn.Module, x: Tensor) -> int:
    """Count the parameters that no gradient reaches."""
    output, _ = module(x)
    torch.autograd.backward(torch.sum(output * factors(output)))
    return sum(p.grad is None or not bool(p.grad.any()) for p in module.parameters())


def filled(module: nn.Module, x: Tensor) -> Any:
    """Call it with every parameter at 0.5: then no order of layers makes a difference."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.5)
    return module(x)


ASK: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    COUNT: lambda module, x: sum(p.numel() for p in module.parameters()),
    EQUAL: filled,
    READS: map_reads,
    ORDER: order_matters,
    USED: without_gradient,
}


def asked(build: Callable[[int, int], nn.Module]) -> Callable[..., Any]:
    """Build the module, fill it with numbers of its own, and find out one thing about it."""

    def find_out(about: str, embed_dim: int, num_heads: int, x: Tensor) -> Any:
        module = build(embed_dim, num_heads)
        if not isinstance(module, nn.Module):
            return module
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.randn_like(parameter))
        return ASK[about](module, x)

    return find_out


def module_case(name: str, fails: str, about: str, *sizes: int) -> Case:
    """A case of `SlicedHeads`: sizes are N, L, H, D."""
    batch, length, heads, width = sizes

    def make(generator: Generator) -> Arguments:
        x = 0.5 * draw(generator, batch, length, heads * width, by_hand=name.startswith("tiny"))
        return {"about": about, "embed_dim": heads * width, "num_heads": heads, "x": x}

    return Case(name, fails, make)


class WithWeights(nn.Module):
    """Any of the package's modules, without biases, returning its weights."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Any:
        return self.attention(x, need_weights=True)


def made(kind: Callable[..., nn.Module], **options: Any) -> Callable[[int, int], nn.Module]:
    """Turn one of the package's classes into an answer."""
    return lambda embed_dim, num_heads: WithWeights(
        kind(embed_dim, num_heads, bias=False, **options)
    )


class Unmixed(nn.Module):
    """SPECIMEN: sliced heads, and nothing after them."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.inner = SlicedMultiHeadAttention(embed_dim, num_heads, bias=False)
        self.inner.register_module("out_proj", nn.Identity())

    def forward(self, x: Tensor) -> Any:
        return self.inner(x, need_weights=True)


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
            module_case("tiny_reads", "each_head_reads_its_slice", READS, 1, 3, 2, 2),
            module_case("large_reads", "any_sizes", READS, 2, 3, 3, 5),
            module_case("large", "equal_in_any_size", EQUAL, 2, 5, 3, 7),
            module_case("order", "permutation_equivariance", ORDER, 2, 5, 3, 7),
            module_case("used", "gradients_reach_all", USED, 2, 3, 3, 5),
        ),
        reference=made(SlicedMultiHeadAttention),
        mistakes={
            "projected_before_split": (
                made(SplitMultiHeadAttention),
                made(LoopedMultiHeadAttention),
            ),
            "shared_layer": (made(SlicedMultiHeadAttention, shared=True),),
            "no_output_projection": (Unmixed,),
        },
        adapt=asked,
    ),
)
