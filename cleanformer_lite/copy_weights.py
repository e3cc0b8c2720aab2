"""Put one module's weights into another of a different build, so that the two can be compared."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cleanformer_lite.fused_heads import FusedMultiHeadAttention
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.projections import BlockDiagonal, Projection
from cleanformer_lite.registration_bug import HeadsBuiltInForward, HeadsInPlainList
from cleanformer_lite.single_head import SingleHeadAttention
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention, WideMultiHeadAttention
from cleanformer_lite.split_heads import SplitMultiHeadAttention

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


Projections = Mapping[str, Projection | BlockDiagonal]


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Make `target` compute the function that `source` computes.

    Works between `LoopedMultiHeadAttention`, `SplitMultiHeadAttention`, `FusedMultiHeadAttention`,
    the specimen `HeadsInPlainList` and `torch.nn.MultiheadAttention`, in any direction, and from
    `SlicedMultiHeadAttention` to those; back to it only where each head reads no more than its
    slice. Only weights are copied: not dropout, not the mode. Dtype and device stay those of the
    target. Where it cannot be done nothing is written.

    Raises: TypeError for a module of another kind; ValueError, saying why, where the target cannot
        express the source's function.
    """
    read, write = projections_of(source), projections_of(target)
    check_same_function(source, target, read, write)
    for name in PROJECTIONS:
        write[name].fill(*read[name].stacked())


def check_same_function(
    source: nn.Module, target: nn.Module, read: Projections, write: Projections
) -> None:
    """Refuse a target that cannot compute what the source computes.

    Raises: ValueError if embed_dim or num_heads differ, or if the source has weights for which the
        target has no place.
    """
    for size in ("embed_dim", "num_heads"):
        ours, theirs = getattr(source, size), getattr(target, size)
        if ours != theirs:
            raise ValueError(f"wanted modules of one {size}, got {ours} and {theirs}")
    for name in PROJECTIONS:
        reason = write[name].refusal(name, *read[name].stacked())
        if reason is not None:
            raise ValueError(reason)


def projections_of(module: nn.Module) -> Projections:
    """Find the four projections in a module of any build; the pieces are its own parameters.

    Raises: TypeError for a module of a kind not known here; ValueError for one that holds no such
        weights.
    """
    if isinstance(module, LoopedMultiHeadAttention | HeadsInPlainList):
        pieces = {name: [getattr(head, name) for head in module.heads] for name in PROJECTIONS[:3]}
        return {
            name: of_linears(linears)
            for name, linears in {**pieces, "out_proj": [module.out_proj]}.items()
        }
    if isinstance(module, SplitMultiHeadAttention):
        return {name: of_linears([getattr(module, name)]) for name in PROJECTIONS}
    if isinstance(module, SlicedMultiHeadAttention):
        return of_sliced(module)
    if isinstance(module, FusedMultiHeadAttention):
        return of_packed(module.in_proj.weight, module.in_proj.bias, module.out_proj)
    if isinstance(module, nn.MultiheadAttention):
        return of_torch(module)
    if isinstance(module, SingleHeadAttention):
        raise ValueError(
            "wanted a module with an output projection, got SingleHeadAttention, which has none"
        )
    if isinstance(module, HeadsBuiltInForward):
        raise ValueError(
            "wanted a module that keeps its heads, got HeadsBuiltInForward, which keeps none"
        )
    if isinstance(module, WideMultiHeadAttention):
        raise ValueError(
            "wanted heads of head_dim = embed_dim / num_heads, got WideMultiHeadAttention, whose "
            "heads are embed_dim wide"
        )
    kind = type(module).__name__
    raise TypeError(f"wanted one of our multi-head modules or nn.MultiheadAttention, got {kind}")


def of_linears(linears: list[nn.Linear]) -> Projection:
    """Take `nn.Linear` layers, in head order, as the pieces of one projection."""
    weights: list[Tensor] = [linear.weight for linear in linears]
    biases: list[Tensor] = [linear.bias for linear in linears if linear.bias is not None]
    return Projection(weights, biases or None)


def of_sliced(module: SlicedMultiHeadAttention) -> Projections:
    """Take the small matrices of sliced heads as blocks on the diagonals of three whole ones."""
    pieces: dict[str, Projection | BlockDiagonal] = {}
    for name in PROJECTIONS[:3]:
        small = of_linears([getattr(head, name) for head in module.heads])
        pieces[name] = BlockDiagonal(small.weights, small.biases)
    return {**pieces, "out_proj": of_linears([module.out_proj])}


def of_torch(module: nn.MultiheadAttention) -> Projections:
    """Take apart `torch.nn.MultiheadAttention`, which keeps q, k and v in one `(3E, E)` matrix.

    Raises: ValueError for the options `kdim`, `vdim`, `add_bias_kv` and `add_zero_attn`, which ours
        have not.
    """
    if module.in_proj_weight is None or module.bias_k is not None or module.add_zero_attn:
        raise ValueError(
            "wanted a torch.nn.MultiheadAttention without kdim, vdim, add_bias_kv and "
            "add_zero_attn, got one with"
        )
    return of_packed(module.in_proj_weight, module.in_proj_bias, module.out_proj)


def of_packed(weight: Tensor, bias: Tensor | None, out_proj: nn.Linear) -> Projections:
    """Take apart the projections of q, k and v where they are kept in one matrix.

    Shapes: weight `(3E, E)`, bias `(3E,)` or None.
    """
    weights = weight.chunk(3)  # (3E, E) -> 3 times (E, E)
    biases: list[list[Tensor] | None] = [None] * 3
    if bias is not None:
        biases = [[piece] for piece in bias.chunk(3)]  # (3E,) -> 3 times (E,)
    pieces = {
        name: Projection([weight], piece)
        for name, weight, piece in zip(PROJECTIONS[:3], weights, biases, strict=True)
    }
    return {**pieces, "out_proj": of_linears([out_proj])}
