"""The specimens must stay ill in exactly the way that their chapter tells."""

import pytest
import torch
from torch import Tensor, nn

from cleanformer_lite import HeadsBuiltInForward, HeadsInPlainList, LoopedMultiHeadAttention
from tests.implementations import assert_close
from tests.properties import random

E, H = 6, 3
Specimen = HeadsBuiltInForward | HeadsInPlainList
both = pytest.mark.parametrize("kind", [HeadsBuiltInForward, HeadsInPlainList])
X = random(2, 5, E).float()


def head_weights(module: HeadsInPlainList) -> list[Tensor]:
    return [p for head in module.heads for p in head.parameters()]


@both
def test_shapes_are_right_so_nobody_notices(kind: type[Specimen]) -> None:
    output, weights = kind(E, H)(X, random(2, 7, E).float(), need_weights=True)
    assert output.shape == (2, 5, E)
    assert weights.shape == (2, H, 5, 7)
    assert_close(weights.sum(-1), torch.ones(2, H, 5), tolerance=1e-6)


@both
def test_masks_and_causality_are_obeyed(kind: type[Specimen]) -> None:
    _, weights = kind(E, H)(X, is_causal=True, attn_mask=torch.arange(5) > 0, need_weights=True)
    read = [[0 < j <= i for j in range(5)] for i in range(5)]
    assert (weights > 0).tolist() == [[read] * H] * 2


@both
def test_only_the_output_projection_is_a_parameter(kind: type[Specimen]) -> None:
    module = kind(E, H)
    assert [name for name, _ in module.named_parameters()] == ["out_proj.weight", "out_proj.bias"]
    assert sum(p.numel() for p in module.parameters()) == E * (E + 1)
    right = LoopedMultiHeadAttention(E, H)
    assert sum(p.numel() for p in right.parameters()) == 4 * E * (E + 1)


@both
def test_only_the_output_projection_is_in_the_state_dict(kind: type[Specimen]) -> None:
    assert set(kind(E, H).state_dict()) == {"out_proj.weight", "out_proj.bias"}


@both
def test_a_state_dict_round_trip_loses_the_heads_and_says_nothing(kind: type[Specimen]) -> None:
    source, target = kind(E, H), kind(E, H)
    missing, unexpected = target.load_state_dict(source.state_dict(), strict=True)
    assert missing == unexpected == []
    assert torch.equal(source.out_proj.weight, target.out_proj.weight)
    assert not torch.allclose(source(X), target(X))


def test_the_right_module_survives_the_round_trip() -> None:
    source, target = LoopedMultiHeadAttention(E, H), LoopedMultiHeadAttention(E, H)
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(X), target(X))


def test_two_calls_of_heads_built_in_forward_disagree() -> None:
    module = HeadsBuiltInForward(E, H).eval()
    assert not torch.allclose(module(X), module(X))


def test_two_calls_of_heads_in_a_plain_list_agree() -> None:
    module = HeadsInPlainList(E, H).eval()
    assert torch.equal(module(X), module(X))


@both
def test_an_optimizer_is_told_of_the_output_projection_only(kind: type[Specimen]) -> None:
    module = kind(E, H)
    groups = torch.optim.SGD(module.parameters(), lr=0.1).param_groups
    told = [id(p) for group in groups for p in group["params"]]
    assert told == [id(module.out_proj.weight), id(module.out_proj.bias)]


@both
def test_a_step_changes_the_output_projection(kind: type[Specimen]) -> None:
    module = kind(E, H)
    before = module.out_proj.weight.clone()
    step(module)
    assert not torch.equal(module.out_proj.weight, before)


def test_a_step_leaves_heads_in_a_plain_list_although_gradients_reach_them() -> None:
    module = HeadsInPlainList(E, H)
    before = [weight.clone() for weight in head_weights(module)]
    step(module)
    for weight, old in zip(head_weights(module), before, strict=True):
        assert weight.grad is not None
        assert torch.equal(weight, old)
    gradients = [head.v_proj.weight.grad for head in module.heads]
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)


def test_gradients_of_heads_in_a_plain_list_pile_up_for_nobody_clears_them() -> None:
    module = HeadsInPlainList(E, H)
    module(X).sum().backward()
    once = [p.grad.clone() for p in head_weights(module) if p.grad is not None]
    module.zero_grad()
    module(X).sum().backward()
    for weight, old in zip(head_weights(module), once, strict=True):
        assert weight.grad is not None
        assert_close(weight.grad, 2 * old, tolerance=1e-5)


def test_heads_built_in_forward_are_gone_after_the_call() -> None:
    module = HeadsBuiltInForward(E, H)
    module(X)
    assert [name for name, _ in module.named_modules()] == ["", "out_proj"]
    assert not [v for v in vars(module).values() if isinstance(v, list)]


@both
def test_to_another_dtype_leaves_the_heads_behind(kind: type[Specimen]) -> None:
    module = kind(E, H).to(torch.float64)
    assert module.out_proj.weight.dtype == torch.float64
    if isinstance(module, HeadsInPlainList):
        assert {weight.dtype for weight in head_weights(module)} == {torch.float32}
    with pytest.raises(RuntimeError, match="dtype"):
        module(X.double())


@both
def test_training_mode(kind: type[Specimen]) -> None:
    """Fresh heads are told the mode; heads in a plain list do not hear of it and go on dropping."""
    torch.manual_seed(0)
    module = kind(E, H, dropout=0.5).eval()
    _, weights = module(X, need_weights=True)
    assert bool((weights == 0).any()) == (kind is HeadsInPlainList)


@both
def test_a_residual_hides_the_bug(kind: type[Specimen]) -> None:
    """With a residual and a small output projection, what comes out is nearly what went in."""
    module = kind(E, H)
    with torch.no_grad():
        for parameter in module.out_proj.parameters():
            parameter.mul_(0.01)
    assert (module(X) + X - X).abs().max() < 0.05 < X.abs().max()


def step(module: nn.Module) -> None:
    module(X).square().sum().backward()
    torch.optim.SGD(module.parameters(), lr=0.1).step()
