"""The variants that the book times, each called as `variant(x)` for self-attention."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from cleanformer_lite.copy_weights import copy_weights
from cleanformer_lite.fused_heads import FusedMultiHeadAttention
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.registration_bug import HeadsBuiltInForward
from cleanformer_lite.split_heads import SplitMultiHeadAttention


class TorchAttention(nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention`, called as ours are: with one tensor for self-attention.

    In eval mode without gradients it may take a fast path of its own; in training mode never.
    """

    def __init__(self, embed_dim: int, num_heads: int, *, need_weights: bool) -> None:
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


VARIANTS: dict[str, Callable[[int, int], nn.Module]] = {
    "fused": FusedMultiHeadAttention,
    "split": SplitMultiHeadAttention,
    "looped": LoopedMultiHeadAttention,
    "built in forward": BuiltWhereTheInputIs,
    "fused, no flash": FusedWithoutFlash,
    "nn.MHA": lambda embed_dim, num_heads: TorchAttention(embed_dim, num_heads, need_weights=False),
    "nn.MHA, weights": lambda embed_dim, num_heads: TorchAttention(
        embed_dim, num_heads, need_weights=True
    ),
}
# Makes new weights in every call, so it computes another function each time.
DIFFERENT = ("built in forward",)
COMPILED = ", compiled"


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
    names = list(names)
    unknown = [name for name in names if name.removesuffix(COMPILED) not in VARIANTS]
    if unknown or not names:
        raise ValueError(f"wanted variants out of {list(VARIANTS)}, got {unknown or 'none'}")
    source = SplitMultiHeadAttention(embed_dim, num_heads)
    built: dict[str, nn.Module] = {}
    for name in names:
        plain = name.removesuffix(COMPILED)
        variant = VARIANTS[plain](embed_dim, num_heads)
        if plain not in DIFFERENT:
            copy_weights(source, variant)
        variant = variant.to(device, dtype)
        # Each is compiled for its own shape; a compiler that has seen too many gives up in silence.
        torch.compiler.reset()
        built[name] = torch.compile(variant) if name.endswith(COMPILED) else variant  # type: ignore[assignment]
    return built
