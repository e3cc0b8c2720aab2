"""The table of variants: how each is built, what it costs on paper, and where it is shown.

A new kind of attention is one more row of `VARIANTS`; nothing else keeps a list of their names.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from cleanformer_lite.copy_weights import copy_weights
from cleanformer_lite.fused_heads import FusedMultiHeadAttention
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.registration_bug import HeadsBuiltInForward
from cleanformer_lite.split_heads import SplitMultiHeadAttention


@dataclass(frozen=True)
class Shape:
    """The sizes of one self-attention: N sequences of length L, embed_dim E, H heads."""

    batch: int
    length: int
    embed_dim: int
    num_heads: int

    def __post_init__(self) -> None:
        sizes = asdict(self)
        if any(size < 1 for size in sizes.values()) or self.embed_dim % self.num_heads:
            raise ValueError(
                f"wanted sizes above 0 and an embed_dim that num_heads divides, got {sizes}"
            )


def full_projections(shape: Shape) -> int:
    """Count the numbers in four matrices from E to E: query, key, value and output."""
    return 4 * shape.embed_dim**2


def all_pairs(shape: Shape) -> int:
    """Count additions and multiplications of scores and mean: `2 N L L E` each, for any H."""
    return 2 * 2 * shape.batch * shape.length**2 * shape.embed_dim


@dataclass(frozen=True)
class Variant:
    """One row of the table: called as `variant(x)` for self-attention.

    `weights` counts the numbers in its matrices, each used once for each position; `attending`
    counts additions and multiplications between the projections. `keeps_scores`: the scores of all
    heads are in memory at once. `same_function`: with equal weights it computes what the others do.
    `shown`: the explorer and the panel show it.
    """

    build: Callable[[int, int], nn.Module]
    weights: Callable[[Shape], int] = full_projections
    attending: Callable[[Shape], int] = all_pairs
    keeps_scores: bool = False
    same_function: bool = True
    shown: bool = False


class TorchAttention(nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention`, called as ours are: with one tensor for self-attention.

    In eval mode without gradients it may take a fast path of its own; in training mode never.
    """

    def __init__(self, embed_dim: int, num_heads: int, *, need_weights: bool = False) -> None:
        super().__init__(embed_dim, num_heads, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        output: Tensor = super().forward(x, x, x, need_weights=self.need_weights)[0]
        return output


class BuiltWhereTheInputIs(HeadsBuiltInForward):
    """The specimen, with its new layers on the input's device and in its dtype, so that it runs."""

    def forward(self, query: Tensor, *others: Any, **options: Any) -> Any:
        usual = torch.get_default_dtype()
        torch.set_default_dtype(query.dtype)
        try:
            with query.device:
                return super().forward(query, *others, **options)
        finally:
            torch.set_default_dtype(usual)


class FusedWithoutFlash(FusedMultiHeadAttention):
    """The fused module with PyTorch's kernels switched off: the same call, written out inside."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with sdpa_kernel(SDPBackend.MATH):
            return super().forward(*args, **kwargs)


def _torch_with_weights(embed_dim: int, num_heads: int) -> nn.Module:
    return TorchAttention(embed_dim, num_heads, need_weights=True)


VARIANTS: dict[str, Variant] = {
    "fused": Variant(FusedMultiHeadAttention, shown=True),
    "split": Variant(SplitMultiHeadAttention, keeps_scores=True, shown=True),
    "looped": Variant(LoopedMultiHeadAttention, shown=True),
    # Makes new weights in every call, so it computes another function each time.
    "built in forward": Variant(BuiltWhereTheInputIs, same_function=False, shown=True),
    "fused, no flash": Variant(FusedWithoutFlash, keeps_scores=True),
    "nn.MHA": Variant(TorchAttention, shown=True),
    "nn.MHA, weights": Variant(_torch_with_weights, keeps_scores=True),
}
BASELINE, LOOP = "fused", "looped"  # what times are relative to, and what readers guess about
COMPILED = ", compiled"


def variant_of(name: str) -> Variant:
    """Look a variant up; a compiled one is that before the comma.

    Raises: ValueError for a name that is not in `VARIANTS`.
    """
    if name.removesuffix(COMPILED) not in VARIANTS:
        raise ValueError(f"wanted variants out of {list(VARIANTS)}, got {name!r}")
    return VARIANTS[name.removesuffix(COMPILED)]


def names_shown(*, same_function: bool = False) -> tuple[str, ...]:
    """List the variants to show, or only those of them that compute the same function."""
    chosen = [name for name, variant in VARIANTS.items() if variant.shown]
    return tuple(n for n in chosen if VARIANTS[n].same_function or not same_function)


def names_that_differ(names: Iterable[str]) -> list[str]:
    """List those among `names` that do not compute the same function as the others."""
    return [name for name in names if not variant_of(name).same_function]


def score_bytes(name: str, shape: Shape, itemsize: int) -> int:
    """Return the bytes of scores that a variant holds at once: three maps for the way back.

    A kernel that never writes the scores holds none; the loop holds those of one head at a time.
    """
    if not variant_of(name).keeps_scores:
        return 0
    return 3 * itemsize * shape.batch * shape.num_heads * shape.length**2


def build_variants(
    names: Iterable[str],
    embed_dim: int,
    num_heads: int,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> dict[str, nn.Module]:
    """Build variants by name, in training mode, with one set of weights between them.

    Only "built in forward" has weights of its own: it makes new ones in every call. Training mode
    keeps `nn.MHA` off its fast path; without dropout it changes nothing else. A name that ends in
    ", compiled" stands for `torch.compile` of the variant before the comma.

    Raises: ValueError for a name that is not in `VARIANTS`, or none at all.
    """
    chosen = {name: variant_of(name) for name in names}
    if not chosen:
        raise ValueError(f"wanted variants out of {list(VARIANTS)}, got none")
    source = SplitMultiHeadAttention(embed_dim, num_heads)
    built: dict[str, nn.Module] = {}
    for name, row in chosen.items():
        variant = row.build(embed_dim, num_heads)
        if row.same_function:
            copy_weights(source, variant)
        variant = variant.to(device, dtype)
        # Each is compiled for its own shape; a compiler that has seen too many gives up in silence.
        torch.compiler.reset()
        built[name] = torch.compile(variant) if name.endswith(COMPILED) else variant  # type: ignore[assignment]
    return built
