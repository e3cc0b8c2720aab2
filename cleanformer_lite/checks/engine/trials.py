"""Inputs, masks and parameters of a trial, all made from a seed."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Sizes:
    """The sizes of one trial; `embed_dim` follows."""

    batch: int
    length: int
    num_heads: int
    head_dim: int

    @property
    def embed_dim(self) -> int:
        return self.num_heads * self.head_dim


# The small one can be checked by hand; in the large one no size can stand in for another.
TRIALS = {"small": Sizes(1, 2, 2, 1), "large": Sizes(3, 5, 4, 7)}
SMALL, LARGE = TRIALS["small"], TRIALS["large"]
MOST_PARAMETERS = 64
# Inputs this many times as large make scores below a fill such as -10.
LOUD = 3.0
# These calls are made for one question each, and not compared number by number.
FOR_ONE_QUESTION = ("loud", "single", "triple")
DROPOUT = 0.25
# Made once from the seed, and read by both halves of a check; answers get copies.
remembered = lru_cache(maxsize=4 * MOST_PARAMETERS)


@dataclass(frozen=True)
class Contract:
    """The parts that an exercise asks of a module beyond `forward(x) -> output`."""

    weights: bool = True
    masks: bool = True
    any_masks: bool = True  # of any shape that broadcasts to `(N, H, L, L)`; else `(N, 1, 1, L)`
    causal: bool = True
    dropout: bool = True


@dataclass(frozen=True)
class Call:
    """The arguments of one forward call."""

    x: Tensor
    attn_mask: Tensor | None = None
    is_causal: bool = False

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that differ from their defaults; an answer may lack the others."""
        named: dict[str, Any] = {}
        if self.attn_mask is not None:
            named["attn_mask"] = self.attn_mask.clone()
        if self.is_causal:
            named["is_causal"] = True
        return named


def draw(generator: Generator, *shape: int, by_hand: bool) -> Tensor:
    """Draw normal numbers; `by_hand` rounds them to halves and leaves no zero."""
    drawn = torch.randn(shape, generator=generator)
    if not by_hand:
        return drawn
    rounded = torch.round(drawn * 2) / 2
    return torch.where(rounded == 0, torch.full_like(rounded, 0.5), rounded)


@remembered
def parameter_values(sizes: Sizes, seed: int, index: int, shape: torch.Size) -> Tensor:
    """Make the values of parameter number `index`, biases included."""
    generator = Generator().manual_seed(seed + 7919 * (index + 1))
    by_hand = sizes == SMALL
    drawn = draw(generator, *shape, by_hand=by_hand)
    return drawn if by_hand else drawn * (1.2 / math.sqrt(sizes.embed_dim))


@remembered
def tokens(sizes: Sizes, seed: int) -> Tensor:
    """Make the input `(N, L, E)`; the tokens of the small one differ in both features."""
    generator = Generator().manual_seed(seed)
    if sizes == SMALL:
        first = draw(generator, 1, 1, sizes.embed_dim, by_hand=True)
        return torch.cat([first, first.flip(-1) + torch.tensor([1.5, -1.0])], dim=1)
    return draw(generator, sizes.batch, sizes.length, sizes.embed_dim, by_hand=False)


def key_mask(sizes: Sizes) -> Tensor:
    """Make a padding mask `(N, 1, 1, L)` whose rows have unequal lengths."""
    lengths = torch.tensor([sizes.length - 1 - row for row in range(sizes.batch)])
    return (torch.arange(sizes.length) < lengths[:, None])[:, None, None, :]


def blind_mask(sizes: Sizes) -> Tensor:
    """Make a mask `(L, L)` in which the first query may attend to nothing."""
    mask = torch.ones(sizes.length, sizes.length, dtype=torch.bool)
    mask[0] = False
    return mask


def head_mask(sizes: Sizes, seed: int) -> Tensor:
    """Make a mask `(N, H, L, L)` that differs by head and lets each query see itself."""
    shape = (sizes.batch, sizes.num_heads, sizes.length, sizes.length)
    drawn = torch.rand(shape, generator=Generator().manual_seed(seed + 1)) < 0.5
    return drawn | torch.eye(sizes.length, dtype=torch.bool)


def order(sizes: Sizes) -> Tensor:
    """Return another order of the tokens, in which each changes its position."""
    return torch.arange(sizes.length).roll(1)


def changed(x: Tensor, where: Tensor | slice, by: float = 1.5) -> Tensor:
    """Return x with the chosen tokens changed."""
    copy = x.clone()
    copy[:, where] += by * torch.tensor([1.0, -2.0, 0.5])[torch.arange(x.shape[-1]) % 3]
    return copy


def nudged(x: Tensor, feature: int) -> Tensor:
    """Return x with one feature changed in every token, by a different amount in each."""
    copy = x.clone()
    copy[..., feature] += 1.0 + torch.arange(x.shape[1])
    return copy


def sums_of_tokens(sizes: Sizes, seed: int) -> Tensor:
    """Make samples `(4, 3, E)` whose first tokens are a, b, a + b and 0, followed by the same two.

    For a function that is affine in the first token, f(a) + f(b) = f(a + b) + f(0).
    """
    first, second, *others = 0.5 * tokens(sizes, seed + 3)[0, :4]
    starts = torch.stack([first, second, first + second, torch.zeros_like(first)])
    return torch.cat([starts[:, None], torch.stack(others).expand(4, 2, -1)], dim=1)


def alike_tokens(sizes: Sizes, seed: int) -> Tensor:
    """Make samples `(8, L, E)` in which all tokens are equal."""
    return tokens(sizes, seed + 4)[:1, :1].expand(8, sizes.length, -1).clone()


@remembered
def calls(sizes: Sizes, contract: Contract, seed: int) -> dict[str, Call]:
    """Name every call of a trial, in the order in which they are made."""
    x = tokens(sizes, seed)
    made = {"unmasked": Call(x), "again": Call(x), "permuted": Call(x[:, order(sizes)])}
    if sizes.batch > 1:
        made["alone"] = Call(x[-1:])
    if sizes == LARGE:
        made["single"] = Call(sums_of_tokens(sizes, seed)[:, :1])
        made["triple"] = Call(sums_of_tokens(sizes, seed))
    if contract.weights and sizes == LARGE:
        made["nudge_first"] = Call(nudged(x, 0))
        made["nudge_last"] = Call(nudged(x, -1))
    if contract.masks:
        made |= masked_calls(sizes, contract, seed, x)
    return made


def masked_calls(sizes: Sizes, contract: Contract, seed: int, x: Tensor) -> dict[str, Call]:
    """Name the calls with masks; without `is_causal`, causality is asked for by a mask."""
    padding = key_mask(sizes)
    tril = torch.ones(sizes.length, sizes.length, dtype=torch.bool).tril()
    causal = Call(x, is_causal=True) if contract.causal else Call(x, tril)
    padded = torch.where(padding[:, 0, 0, :, None], x, changed(x, slice(None)))
    loud = {"loud": Call(LOUD * x, padding)} if sizes == LARGE else {}
    made = loud | {"padded": Call(x, padding), "padded_changed": Call(padded, padding)}
    if contract.any_masks:
        made |= {
            "causal": causal,
            "causal_changed": replace(causal, x=changed(x, slice(-1, None))),
            "per_head": Call(x, head_mask(sizes, seed)),
            "blind": Call(x, blind_mask(sizes)),
        }
    if sizes.batch > 1:
        made["padded_alone"] = Call(x[-1:], padding[-1:])
    if contract.causal:
        made["causal_padded"] = Call(x, padding, is_causal=True)
    return made


def compared_calls(sizes: Sizes, contract: Contract, seed: int) -> dict[str, Call]:
    """Name the calls whose results are compared number by number."""
    made = calls(sizes, contract, seed)
    return {name: call for name, call in made.items() if name not in FOR_ONE_QUESTION}


@remembered
def together(sizes: Sizes, contract: Contract, seed: int) -> Call:
    """Join all calls of a trial in one batch, with masks written out as `(N, H, L, L)`."""
    made = compared_calls(sizes, contract, seed).values()
    return Call(
        torch.cat([call.x for call in made]), torch.cat([whole_mask(sizes, call) for call in made])
    )


def whole_mask(sizes: Sizes, call: Call) -> Tensor:
    """Write out the mask of a call as `(N, H, L, L)`."""
    shape = (len(call.x), sizes.num_heads, sizes.length, sizes.length)
    allowed = torch.ones(shape, dtype=torch.bool)
    allowed = allowed if call.attn_mask is None else allowed & call.attn_mask
    return allowed.tril() if call.is_causal else allowed
