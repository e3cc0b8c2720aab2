"""Mistakes in sliced heads and the joint projection of query, key and value. Wrong on purpose."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.references import features_read, split_projection, with_weights
from cleanformer_lite.checks.mistake import mistake
from cleanformer_lite.checks.mistakes.forms import forward_with
from cleanformer_lite.copy_weights import copy_weights
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.split_heads import SplitMultiHeadAttention


def _change_every_token(x: Tensor, feature: int) -> Tensor:
    """Change a feature of every token by the same amount."""
    copy = x.clone()
    copy[..., feature] += 1.0
    return copy


def _cut(shape: str, order: tuple[int, ...]) -> Callable[[Tensor, int], tuple[Tensor, ...]]:
    """Cut the last axis in another order; `shape` names its parts, 3, H and D."""

    def split(projected: Tensor, num_heads: int) -> tuple[Tensor, ...]:
        width = projected.shape[-1] // 3 // num_heads
        sizes = [{"3": 3, "H": num_heads, "D": width}[letter] for letter in shape]
        return projected.view(*projected.shape[:2], *sizes).permute(order).unbind(0)

    return split


INTERLEAVED = (
    _cut("H3D", (3, 0, 2, 1, 4)),
    _cut("HD3", (4, 0, 2, 1, 3)),
    _cut("DH3", (4, 0, 3, 1, 2)),
)


@torch.no_grad()
def _copy_linear(source: Any, target: Any, *, bias: bool = True, turned: bool = False) -> None:
    target.weight.copy_(source.weight.t() if turned else source.weight)
    if bias:
        target.bias.copy_(source.bias)


def _copy_with(
    layers: Callable[[Any], tuple[Any, ...]] = lambda head: (head.q_proj, head.k_proj, head.v_proj),
    *, bias: bool = True, out_bias: bool = True, out_turned: bool = False,
    turned: bool = False,
) -> Callable[[Any, Any], None]:  # fmt: skip
    """Copy a loop into a split module, with one thing wrong."""

    @torch.no_grad()
    def copy_loop(looped: Any, split: Any) -> None:
        for part, target in enumerate((split.q_proj, split.k_proj, split.v_proj)):
            chosen = [layers(head)[part] for head in looped.heads]
            weight = torch.cat([layer.weight for layer in chosen])
            target.weight.copy_(weight.t() if turned else weight)
            if bias:
                target.bias.copy_(torch.cat([layer.bias for layer in chosen]))
        _copy_linear(looped.out_proj, split.out_proj, bias=out_bias, turned=out_turned)

    return copy_loop


def _count_without_biases(embed_dim: int, num_heads: int, out_bias: int) -> dict[str, int]:
    out = embed_dim * (embed_dim + out_bias)
    return {"built_in_forward": out, "plain_list": out, "module_list": 3 * embed_dim**2 + out}


@mistake(
    cause="the input is projected as a whole, and the result is cut into heads",
    symptom="every head reads every feature: these are split heads, not sliced ones",
    hints=(
        "Change one input feature. Which heads notice?",
        "What comes first in your code, the cut or the projection?",
        "Cut x into H parts of D features, then project each part with matrices of D to D.",
    ),
)
class ProjectedBeforeSplit:
    """Split heads, where sliced ones are asked for."""

    forms = {
        "sliced_heads.module": (
            with_weights(SplitMultiHeadAttention),
            with_weights(LoopedMultiHeadAttention),
        ),
    }


@mistake(
    cause="a matrix is laid down as (in, out), where `nn.Linear` keeps (out, in)",
    symptom="it runs, because the matrix is square; the numbers are others",
    hints=(
        "Try a matrix with one number that is not zero. In which row is it afterwards?",
        "Which axis of `nn.Linear(...).weight` are the outputs?",
        "Leave out the transpose: rows are outputs, in `weights[h]` and in the result.",
    ),
)
class LinearTransposed:
    """Lays a matrix down as (in, out)."""

    forms = {
        "sliced_heads.block_diagonal": (
            lambda weights: torch.block_diag(*weights.transpose(1, 2)),
        ),
        "fused_heads.forward": (
            forward_with(turned=True),
            forward_with(in_turned=True),
            forward_with(in_turned=True, turned=True),
        ),
        "split_heads.from_loop": (
            _copy_with(out_turned=True),
            _copy_with(turned=True),
            _copy_with(turned=True, out_turned=True),
        ),
    }


@mistake(
    cause="of whole rows a sum or a mean is taken, and each row sums to 1 whatever x is",
    symptom="every gradient or change is zero, so no feature seems to be read",
    hints=(
        "Add up one row of a map, before and after a change of x.",
        "Of which number do you take the gradient? Can it change at all?",
        "Give each weight another factor before you sum, or take the whole Jacobian.",
    ),
)
class GradientOfAConstant:
    """Changes nothing."""

    forms = {
        "sliced_heads.reads": (lambda maps_of, x: features_read(maps_of, x, lambda x, _: x),),
    }


@mistake(
    cause="the same amount is added to a feature in every token at once",
    symptom="features that only the keys read are missed: the softmax does not see a shift",
    hints=(
        "Add 3 to every score of a row, and take the softmax again.",
        "Which tokens do you change? What do the keys of all of them have in common then?",
        "Change the feature in one token, or by another amount in each.",
    ),
)
class NudgeCancels:
    """Changes every token by the same amount."""

    forms = {
        "sliced_heads.reads": (lambda maps_of, x: features_read(maps_of, x, _change_every_token),),
    }


@mistake(
    cause="the joint projection is cut head by head, or number by number, instead of in thirds",
    symptom="shapes are right and it trains; weights from elsewhere give nonsense",
    thread="NVIDIA-NeMo/RL#2802",
    hints=(
        "Let the projection count 1, 2, 3, ... and write down what should be query.",
        "Which axis comes first when you cut 3E numbers: the three parts, or the heads?",
        "`query, key, value = projected.chunk(3, dim=-1)`, and then split each into heads.",
    ),
)
class QkvInterleaved:
    """Cuts head by head, or number by number."""

    forms = {
        "fused_heads.thirds": INTERLEAVED,
        "fused_heads.forward": tuple(forward_with(cut) for cut in INTERLEAVED),
    }


def _parts(*order: int) -> Callable[[Tensor, int], tuple[Tensor, ...]]:
    """Cut in thirds, and take them in another order."""
    return lambda projected, num_heads: tuple(
        split_projection(projected, num_heads)[part] for part in order
    )


OUT_OF_ORDER = tuple(
    _parts(*order) for order in ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0), (0, 2, 2))
)


@mistake(
    cause="of query, key and value one is taken for another",
    symptom="shapes are right and it trains; weights from elsewhere give nonsense",
    thread="jsbaan/transformer-from-scratch#1",
    hints=(
        "Let the projection count 1, 2, 3, ... and write down what should be the key.",
        "In which order do the three parts lie in memory? In which order do you name them?",
        "`query, key, value = projected.chunk(3, dim=-1)`: in the order in which they lie.",
    ),
)
class PartsOutOfOrder:
    """Takes the three parts in another order, or one of them twice."""

    forms = {
        "fused_heads.thirds": OUT_OF_ORDER,
        # Query and key exchanged give other maps; the same part twice gives a part less.
        "fused_heads.forward": tuple(forward_with(cut) for cut in OUT_OF_ORDER),
        "split_heads.from_loop": (
            _copy_with(lambda head: (head.q_proj, head.v_proj, head.v_proj)),
            _copy_with(lambda head: (head.q_proj, head.v_proj, head.k_proj)),
            _copy_with(lambda head: (head.k_proj, head.q_proj, head.v_proj)),
        ),
    }


LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj")


def _copy_some(*copied: str) -> Callable[[Any, Any], None]:
    """Copy some of the four layers, with their biases."""

    @torch.no_grad()
    def copy_loop(looped: Any, split: Any) -> None:
        before = {name: value.clone() for name, value in split.state_dict().items()}
        copy_weights(looped, split)
        for name, parameter in split.named_parameters():
            if name.partition(".")[0] not in copied:
                parameter.copy_(before[name])

    return copy_loop


@mistake(
    cause="a layer is not copied: it keeps the numbers that it was made with",
    symptom="the two modules disagree, though their maps may be the same",
    hints=(
        "Compare the two modules layer by layer, after your copy.",
        "Four layers have weights. How many of them do you copy?",
        "Heads' `q_proj`, `k_proj` and `v_proj` are stacked; `out_proj` is copied as it is.",
    ),
)
class LayerNotCopied:
    """Leaves one layer or more as they were."""

    forms = {
        "split_heads.from_loop": tuple(
            _copy_some(*chosen)
            for number in (1, 2, 3)
            for chosen in itertools.combinations(LAYERS, number)
        ),
    }


def _share_with(out_alone: bool) -> Callable[[Any, Any], None]:
    def share(looped: Any, split: Any) -> None:
        copy_weights(looped, split)
        if out_alone:
            split.out_proj = looped.out_proj
        else:
            split.out_proj.weight.data = looped.out_proj.weight.data
            split.out_proj.bias.data = looped.out_proj.bias.data

    return share


@mistake(
    cause="a layer is handed over and not copied: both modules have one and the same",
    symptom="equal now; once the one is trained or changed, the other changes too",
    hints=(
        "After your copy, set the weights of the loop to zero. What does the split compute?",
        "Look for an assignment of a layer, a parameter or `.data`.",
        "`split.out_proj.load_state_dict(looped.out_proj.state_dict())`, or `copy_`.",
    ),
)
class LayerShared:
    """Shares the output projection."""

    forms = {"split_heads.from_loop": (_share_with(out_alone=True), _share_with(out_alone=False))}


@mistake(
    cause="weights are copied, and their biases are not",
    symptom="right as long as the biases are zero",
    thread="meta-pytorch/torchtune#2233",
    hints=(
        "Compare the two modules on an input of zeros.",
        "An `nn.Linear` keeps two parameters. Which of them do you copy?",
        "The same for `.bias` as for `.weight`: `torch.cat([h.q_proj.bias for h in ...])`.",
    ),
)
class BiasesForgotten:
    """Copies matrices alone, or counts them alone."""

    forms = {
        "split_heads.from_loop": (
            _copy_with(bias=False),
            _copy_with(bias=False, out_bias=False),
            _copy_with(out_bias=False),
        ),
        "registration_bug.count": tuple(partial(_count_without_biases, out_bias=n) for n in (0, 1)),
    }
