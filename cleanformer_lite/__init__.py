"""Multi-head attention, one idea a file: the package that every chapter of the book imports."""

from typing import TYPE_CHECKING, Any

from cleanformer_lite.copy_weights import copy_weights
from cleanformer_lite.fused_heads import FusedMultiHeadAttention
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.registration_bug import HeadsBuiltInForward, HeadsInPlainList
from cleanformer_lite.single_head import SingleHeadAttention, scaled_dot_product_attention
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention, WideMultiHeadAttention
from cleanformer_lite.split_heads import SplitMultiHeadAttention, merge_heads, split_heads

if TYPE_CHECKING:
    from cleanformer_lite.checks import check
    from cleanformer_lite.checks.examination import Expect, examine
    from cleanformer_lite.checks.examination.plugin import assert_attention

__all__ = [
    "Expect",
    "FusedMultiHeadAttention",
    "HeadsBuiltInForward",
    "HeadsInPlainList",
    "LoopedMultiHeadAttention",
    "SingleHeadAttention",
    "SlicedMultiHeadAttention",
    "SplitMultiHeadAttention",
    "WideMultiHeadAttention",
    "assert_attention",
    "check",
    "copy_weights",
    "examine",
    "merge_heads",
    "scaled_dot_product_attention",
    "split_heads",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # The exercises are many: who wants a head does not wait for them.
    if name == "check":
        from cleanformer_lite.checks import check

        return check
    if name in ("examine", "Expect"):
        from cleanformer_lite.checks import examination

        return getattr(examination, name)
    if name == "assert_attention":
        from cleanformer_lite.checks.examination.plugin import assert_attention

        return assert_attention
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
