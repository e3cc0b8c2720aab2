from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cleanformer_lite import (
    HeadsBuiltInForward,
    HeadsInPlainList,
    LoopedMultiHeadAttention,
    SingleHeadAttention,
    SplitMultiHeadAttention,
    copy_weights,
)
from tests.implementations import assert_close
from tests.properties import random

E, H = 6, 3


class Other(nn.Linear):
    """A module with the right attributes and nothing behind them."""

    embed_dim, num_heads = E, H


def looped(bias: bool = True, embed_dim: int = E, num_heads: int = H) -> nn.Module:
    return LoopedMultiHeadAttention(embed_dim, num_heads, bias=bias).double()


def split(bias: bool = True, embed_dim: int = E, num_heads: int = H) -> nn.Module:
    return SplitMultiHeadAttention(embed_dim, num_heads, bias=bias).double()


def plain_list(bias: bool = True, embed_dim: int = E, num_heads: int = H) -> nn.Module:
    module = HeadsInPlainList(embed_dim, num_heads, bias=bias).double()
    for head in module.heads:  # .double() passes them by: that is the specimen's bug
        head.double()
    return module


def torch_module(bias: bool = True, embed_dim: int = E, num_heads: int = H) -> nn.Module:
    """With biases that are not 0, as they are at first, so that losing them shows."""
    module = nn.MultiheadAttention(embed_dim, num_heads, bias=bias, batch_first=True).double()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(parameter)
    return module


Maker = Callable[..., nn.Module]
KINDS = [looped, split, plain_list, torch_module]
from_any = pytest.mark.parametrize("make_source", KINDS)
to_any = pytest.mark.parametrize("make_target", KINDS)


def answer(module: nn.Module) -> list[Tensor]:
    """Give output, weights and the inputs' gradients on one problem of cross-attention."""
    query, memory = random(2, 5, E).requires_grad_(), random(2, 7, E).requires_grad_()
    options = {"average_attn_weights": False} if isinstance(module, nn.MultiheadAttention) else {}
    output, weights = module(query, memory, memory.flip(1), need_weights=True, **options)
    return [output, weights, *torch.autograd.grad(output.sin().sum(), (query, memory))]


def everything(module: nn.Module) -> list[Tensor]:
    """Copy every weight of a module, those that it forgot to register too."""
    owners = [module, *(getattr(module, "heads", []))]
    return [p.detach().clone() for owner in owners for p in owner.parameters()]


@from_any
@to_any
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_target_does_what_source_does(make_source: Maker, make_target: Maker, bias: bool) -> None:
    source, target = make_source(bias), make_target(bias)
    assert not torch.allclose(answer(source)[0], answer(target)[0])
    before = everything(source)
    copy_weights(source, target)
    for ours, theirs in zip(answer(target), answer(source), strict=True):
        assert_close(ours, theirs)
    assert all(torch.equal(a, b) for a, b in zip(everything(source), before, strict=True))


@from_any
@to_any
def test_no_bias_is_a_bias_of_zero(make_source: Maker, make_target: Maker) -> None:
    source, target = make_source(False), make_target(True)
    copy_weights(source, target)
    for ours, theirs in zip(answer(target), answer(source), strict=True):
        assert_close(ours, theirs)


@from_any
def test_a_bias_of_zero_may_be_left_out(make_source: Maker) -> None:
    source, target = make_source(True), split(False)
    with torch.no_grad():
        for owner in [source, *getattr(source, "heads", [])]:
            for name, parameter in owner.named_parameters():
                if name.endswith("bias"):
                    parameter.zero_()
    copy_weights(source, target)
    for ours, theirs in zip(answer(target), answer(source), strict=True):
        assert_close(ours, theirs)


@from_any
@to_any
def test_they_share_no_memory_and_stay_trainable(make_source: Maker, make_target: Maker) -> None:
    source, target = make_source(), make_target()
    copy_weights(source, target)
    before = answer(source)[0].clone()
    with torch.no_grad():
        for owner in [target, *getattr(target, "heads", [])]:
            for parameter in owner.parameters():
                assert parameter.is_leaf
                assert parameter.requires_grad
                parameter.zero_()
    assert torch.equal(answer(source)[0], before)


@from_any
def test_there_and_back_gives_the_same_bits(make_source: Maker) -> None:
    source, between = make_source(), split()
    before = everything(source)
    copy_weights(source, between)
    copy_weights(between, source)
    assert all(torch.equal(a, b) for a, b in zip(everything(source), before, strict=True))


def test_a_module_may_be_copied_to_itself() -> None:
    module = torch_module()
    before = everything(module)
    copy_weights(module, module)
    assert all(torch.equal(a, b) for a, b in zip(everything(module), before, strict=True))


def test_dtype_mode_and_dropout_stay_those_of_the_target() -> None:
    source = LoopedMultiHeadAttention(E, H, dropout=0.5).double().train()
    target = SplitMultiHeadAttention(E, H, dropout=0.25).eval()
    copy_weights(source, target)
    assert target.q_proj.weight.dtype == torch.float32
    assert not target.training
    assert target.dropout == 0.25
    assert torch.equal(target.out_proj.weight, source.out_proj.weight.float())


def torch_with(**options: int | bool) -> nn.Module:
    return nn.MultiheadAttention(E, H, **options).double()


REFUSED = [
    (SingleHeadAttention(E).double(), ValueError, "wanted .*output projection.*SingleHead"),
    (HeadsBuiltInForward(E, H).double(), ValueError, "wanted .*keeps its heads.*HeadsBuiltIn"),
    (Other(E, E).double(), TypeError, "wanted .*nn.MultiheadAttention, got Other"),
    (torch_with(kdim=5), ValueError, "wanted .*without kdim"),
    (torch_with(vdim=5), ValueError, "wanted .*without kdim"),
    (torch_with(add_bias_kv=True), ValueError, "wanted .*without kdim"),
    (torch_with(add_zero_attn=True), ValueError, "wanted .*without kdim"),
    (split(embed_dim=9), ValueError, r"wanted modules of one embed_dim, got (9 and 6|6 and 9)"),
    (looped(num_heads=2), ValueError, r"wanted modules of one num_heads, got (2 and 3|3 and 2)"),
]
refused = pytest.mark.parametrize(
    ("stranger", "error", "message"), REFUSED, ids=[message for *_, message in REFUSED]
)


@refused
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["from", "to"])
def test_what_cannot_be_said_is_refused_and_nothing_written(
    stranger: nn.Module, error: type[Exception], message: str, kind: Maker, direction: str
) -> None:
    ours = kind()
    source, target = (stranger, ours) if direction == "from" else (ours, stranger)
    before = everything(target)
    with pytest.raises(error, match=message):
        copy_weights(source, target)
    assert all(torch.equal(a, b) for a, b in zip(everything(target), before, strict=True))


@from_any
@to_any
@pytest.mark.parametrize("lost", ["q_proj", "out_proj"])
def test_a_bias_that_would_be_lost_is_refused(
    make_source: Maker, make_target: Maker, lost: str
) -> None:
    """One bias that is not 0 is enough; that of out_proj is looked at last."""
    source, target = split(), make_target(False)
    with torch.no_grad():
        for name, parameter in source.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()[-1] = float(name.startswith(lost))
    given = make_source()
    copy_weights(source, given)
    before = everything(target)
    with pytest.raises(ValueError, match=f"wanted a target with a bias in {lost}"):
        copy_weights(given, target)
    assert all(torch.equal(a, b) for a, b in zip(everything(target), before, strict=True))
