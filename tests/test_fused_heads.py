import pytest
import torch
from hypothesis import given
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from cleanformer_lite import FusedMultiHeadAttention, SplitMultiHeadAttention, copy_weights
from cleanformer_lite.fused_heads import fused_attention
from cleanformer_lite.timing import count_operators, peak_memory
from tests.implementations import (
    PROJECTIONS,
    Problem,
    assert_as_by_indices,
    assert_close,
    assert_same_answer,
    by_split,
    by_torch_module,
    problems,
)
from tests.properties import random

EVERY_MASK = ("none", "padding", "causal", "boolean", "one for all", "causal padding")
MASKED_ROWS = ("masked rows", "causal masked rows")


def packed(problem: Problem) -> dict[str, Tensor]:
    """Stack q, k and v, as the module keeps them, so that gradients reach the problem's leaves."""
    weights = {n: leaf for n, leaf in problem.leaves.items() if n.startswith("out_proj")}
    for kind in ("weight", "bias") if problem.bias else ("weight",):
        parts = [problem.leaves[f"{name}.{kind}"] for name in PROJECTIONS[:3]]
        weights[f"in_proj.{kind}"] = torch.cat(parts)
    return weights


def by_fused(problem: Problem, need_weights: bool = False) -> tuple[Tensor, Tensor | None]:
    module = FusedMultiHeadAttention(problem.embed_dim, problem.num_heads, bias=problem.bias)
    options = {
        "attn_mask": problem.attn_mask,
        "is_causal": problem.is_causal,
        "need_weights": need_weights,
    }
    result = functional_call(
        module.double(), packed(problem), problem.inputs(), options, strict=True
    )
    return result if need_weights else (result, None)


def by_fused_written_out(problem: Problem) -> tuple[Tensor, Tensor | None]:
    return by_fused(problem, need_weights=True)


@given(problems(*EVERY_MASK))
def test_as_torch_module(problem: Problem) -> None:
    assert_same_answer(problem, by_fused, by_torch_module)
    assert_same_answer(problem, by_fused_written_out, by_torch_module)


@given(problems(*EVERY_MASK, *MASKED_ROWS))
def test_as_split(problem: Problem) -> None:
    assert_same_answer(problem, by_fused, by_split)


@pytest.mark.parametrize("mask", [*EVERY_MASK, *MASKED_ROWS])
def test_as_the_loop_over_indices(mask: str) -> None:
    problem = Problem(2, 5, 3, num_heads=3, head_dim=2, mask=mask, seed=4)
    assert_as_by_indices(problem, by_fused, by_fused_written_out)


def twins(dropout: float = 0.0) -> tuple[SplitMultiHeadAttention, FusedMultiHeadAttention]:
    torch.manual_seed(0)
    split = SplitMultiHeadAttention(12, 3, dropout=dropout).double()
    fused = FusedMultiHeadAttention(12, 3, dropout=dropout).double()
    copy_weights(split, fused)
    return split, fused


def gradients(module: nn.Module, x: Tensor, mask: Tensor | None) -> list[Tensor]:
    """Return the output, and the gradients of x and of the four weights stacked."""
    x = x.detach().clone().requires_grad_()
    output = module(x, attn_mask=mask, is_causal=True)
    output.square().sum().backward()
    names = ["in_proj"] if hasattr(module, "in_proj") else ["q_proj", "k_proj", "v_proj"]
    grads = [x.grad, *(module.get_parameter(f"{n}.weight").grad for n in [*names, "out_proj"])]
    gradient, *stacked = [grad for grad in grads if grad is not None]
    return [output.detach(), gradient, torch.cat(stacked)]


# How far a result may be from the float64 one, in units of the last place of its largest number.
# Four products and a softmax follow each other; each rounds once or twice.
UNITS = 8.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["causal", "causal and mask"])
def test_low_precision_stays_within_eight_units_of_float64_split(
    dtype: torch.dtype, masked: bool
) -> None:
    split, fused = twins()
    fused.to(dtype)
    x = random(2, 5, 12).to(dtype)
    mask = (torch.arange(25).view(5, 5) % 3 > 0) if masked else None
    with torch.no_grad():  # float64, but from the same rounded weights
        for parameter in split.parameters():
            parameter.copy_(parameter.to(dtype))
    exactly = gradients(split, x.double(), mask)
    for ours, exact in zip(gradients(fused, x, mask), exactly, strict=True):
        assert ours.dtype == dtype
        error = (ours.double() - exact).abs().max()
        assert error <= UNITS * torch.finfo(dtype).eps * exact.abs().max()


def test_self_attention_takes_one_product_and_others_three() -> None:
    _, fused = twins()
    x, memory = random(2, 5, 12), random(2, 7, 12)
    # The product, the kernel, out_proj; a copy in merge_heads where the kernel's order needs one.
    few = count_operators(fused, [x]).compute
    many = count_operators(fused, [x, memory]).compute
    assert (few, many) == (3, 5)
    assert torch.equal(fused(x), fused(x, x, x))
    assert_close(fused(x), fused(x, x.clone(), x.clone()))


def test_memory_grows_with_the_length_and_not_with_its_square() -> None:
    _, fused = twins()
    peaks = [peak_memory(fused, [random(2, length, 12)]) for length in (128, 256)]
    assert peaks[1] <= 2 * peaks[0]
    assert peaks[1] < 2 * 3 * 256 * 256 * 8  # the weights alone


@pytest.mark.parametrize("backend", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION], ids=str)
def test_a_query_that_reads_nothing_is_harmless_on_every_backend(backend: SDPBackend) -> None:
    _, fused = twins()
    x, mask = random(2, 5, 12).requires_grad_(), torch.ones(5, 5, dtype=torch.bool)
    mask[2] = False
    with sdpa_kernel(backend), torch.autograd.set_detect_anomaly(True):
        output = fused(x, attn_mask=mask)
        assert torch.equal(output[:, 2], fused.out_proj.bias.expand(2, 12))
        grads = torch.autograd.grad(output.square().sum(), [x, *fused.parameters()])
    assert all(gradient.isfinite().all() for gradient in grads)
    (through,) = torch.autograd.grad(fused(x, attn_mask=mask[2:3])[:, 2].sum(), x)
    assert (through == 0).all()


def test_nothing_of_one_head_only() -> None:
    """Zeros in one head alone, where the out_proj hides them."""
    q, k, v = random(2, 3, 5, 4), random(2, 3, 7, 4), random(2, 3, 7, 4)
    mask = torch.ones(3, 5, 7, dtype=torch.bool)
    mask[1, 4] = False
    output = fused_attention(q, k, v, attn_mask=mask)
    assert (output[:, 1, 4] == 0).all()
    assert ((output == 0).sum(dim=(0, 2, 3)) == torch.tensor([0, 2 * 4, 0])).all()


def test_no_kernel_is_asked_for_a_query_that_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some backends of some versions answer NaN; those here answer zeros, so look at the mask."""
    masks = []

    def spy(*tensors: Tensor, attn_mask: Tensor, dropout_p: float) -> Tensor:
        masks.append(attn_mask)
        return tensors[0]

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    q, mask = random(2, 3, 5, 4), torch.ones(5, 5, dtype=torch.bool).triu(1)
    output = fused_attention(q, q, q, attn_mask=mask, is_causal=True)
    assert masks[0].shape == (2, 3, 5, 5)
    assert masks[0].all()
    assert (output == 0).all()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_dropout_only_in_training(need_weights: bool, masked: bool) -> None:
    _, fused = twins(dropout=0.5)
    x, mask = random(2, 5, 12), torch.ones(5, 5, dtype=torch.bool) if masked else None

    def output() -> Tensor:
        result = fused(x, attn_mask=mask, need_weights=need_weights)
        first: Tensor = result[0] if need_weights else result
        return first

    assert not torch.equal(output(), output())
    fused.eval()
    assert torch.equal(output(), output())
    fused.train()
    fused.dropout = 0.0
    without = output()
    assert_close(without, fused.eval()(x))


def test_dropout_keeps_the_mean() -> None:
    """Kept weights are made larger: the mean of many draws is the output without dropout."""
    _, fused = twins(dropout=0.5)
    x = random(1, 5, 12)
    torch.manual_seed(0)
    mean = torch.stack([fused(x) for _ in range(4000)]).mean(0)
    assert_close(mean, fused.eval()(x), tolerance=0.03)


@pytest.mark.parametrize("lengths", [(0, 5), (1, 1), (5, 1), (5, 0)], ids=str)
def test_nothing_and_one(lengths: tuple[int, int]) -> None:
    split, fused = twins()
    query, memory = random(3, lengths[0], 12), random(3, lengths[1], 12)
    for mask in (None, torch.ones(3, 1, *lengths, dtype=torch.bool)):
        assert_close(fused(query, memory, attn_mask=mask), split(query, memory, attn_mask=mask))


@pytest.mark.parametrize("shape", [(), (7,), (5, 1), (2, 1, 1, 7), (1, 3, 5, 7)], ids=str)
def test_masks_of_every_shape_that_stretches(shape: tuple[int, ...]) -> None:
    split, fused = twins()
    query, memory = random(2, 5, 12), random(2, 7, 12)
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(3)) > 0.4
    for options in ({}, {"is_causal": True}):
        expected, weights = split(query, memory, attn_mask=mask, need_weights=True, **options)
        assert_close(fused(query, memory, attn_mask=mask, **options), expected)
        again = fused(query, memory, attn_mask=mask, need_weights=True, **options)
        assert_close(again[0], expected)
        assert_close(again[1], weights)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(5, 7), "wanted a boolean attn_mask"),
        (torch.ones(5, 5, dtype=torch.bool), r"broadcasts to \(2, 3, 5, 7\), got \(5, 5\)"),
    ],
)
@pytest.mark.parametrize("need_weights", [False, True])
def test_masks_that_do_not_fit_are_refused(mask: Tensor, message: str, need_weights: bool) -> None:
    _, fused = twins()
    with pytest.raises(ValueError, match=message):
        fused(random(2, 5, 12), random(2, 7, 12), attn_mask=mask, need_weights=need_weights)


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="num_heads divides"):
        FusedMultiHeadAttention(15, 4)
    with pytest.raises(ValueError, match="wanted query of shape"):
        FusedMultiHeadAttention(15, 3)(random(2, 5, 12))


def test_it_starts_as_split_starts() -> None:
    """Uniform within 1 / sqrt(E), as each of the three Linear layers of split."""
    torch.manual_seed(0)
    fused = FusedMultiHeadAttention(48, 3)
    bound = 48**-0.5
    for parameter in fused.parameters():
        assert parameter.abs().max() <= bound
        assert parameter.abs().max() > 0.9 * bound
