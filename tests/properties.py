"""What any right multi-head attention does, whatever its style: no reference, no luck of a seed.

Each takes a package (ours, or a mutant of it) and raises AssertionError, saying what is wrong.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

Package = Any
N, L, S, H, D = 2, 5, 7, 3, 4
E = H * D


def modules(package: Package, num_heads: int = H, head_dim: int = D, **options: Any) -> list[Any]:
    """Build the looped and the split module of a package, in float64 and evaluation mode."""
    torch.manual_seed(0)
    kinds = (package.LoopedMultiHeadAttention, package.SplitMultiHeadAttention)
    return [kind(num_heads * head_dim, num_heads, **options).double().eval() for kind in kinds]


def random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def close(ours: Tensor, theirs: Tensor) -> bool:
    return torch.allclose(ours, theirs, rtol=0, atol=1e-10)


def two_calls_agree(package: Package) -> None:
    x = random(N, L, E)
    for module in modules(package, dropout=0.5):
        assert close(module(x), module(x)), "two calls in evaluation mode disagree"


def has_all_parameters(package: Package) -> None:
    for module in modules(package):
        count = sum(p.numel() for p in module.parameters())
        assert count == 4 * E * (E + 1), f"4 E (E + 1) is {4 * E * (E + 1)} parameters, not {count}"


def every_parameter_gets_a_gradient(package: Package) -> None:
    """All but the keys' bias, which adds the same to every score of a query: softmax drops it."""
    for module in modules(package):
        module(random(N, L, E)).square().sum().backward()
        for name, parameter in module.named_parameters():
            if not name.endswith("k_proj.bias"):
                assert parameter.grad is not None, f"{name} gets no gradient"
                assert parameter.grad.abs().max() > 1e-6, f"{name} gets a gradient of 0"


def heads_differ(package: Package) -> None:
    for module in modules(package):
        _, weights = module(random(N, L, E), need_weights=True)
        assert not close(weights[:, 0], weights[:, 1]), "two heads look at the same places"


def order_of_tokens_does_not_matter(package: Package) -> None:
    x, order = random(N, L, E), torch.tensor([3, 0, 4, 1, 2])
    for module in modules(package):
        assert close(module(x[:, order]), module(x)[:, order]), "tokens are mixed up"


def the_future_stays_unread(package: Package) -> None:
    x = random(N, L, E)
    changed = x.clone()
    changed[:, 3:] += 1.0
    for module in modules(package):
        before, after = module(x, is_causal=True), module(changed, is_causal=True)
        assert close(before[:, :3], after[:, :3]), "the past depends on the future"
        assert (before[:, 3:] - after[:, 3:]).abs().min() > 0, "the present is not read"


def the_past_and_the_present_are_read(package: Package) -> None:
    for module in modules(package):
        _, weights = module(random(N, L, E), need_weights=True, is_causal=True)
        read = [[[j <= i for j in range(L)] for i in range(L)]] * H
        assert (weights > 0).tolist() == [read] * N, "causal weights are not the lower triangle"


def a_row_alone_is_the_row_in_a_batch(package: Package) -> None:
    x, lengths = random(N, L, E), torch.tensor([2, 5])
    mask = (torch.arange(L) < lengths[:, None])[:, None, None, :]
    for module in modules(package):
        together = module(x, attn_mask=mask)
        for n in range(N):
            alone = module(x[n : n + 1], attn_mask=mask[n : n + 1])
            assert close(together[n : n + 1], alone), "rows of a batch touch each other"


def rows_of_a_batch_do_not_touch(package: Package) -> None:
    x = random(N, L, E)
    for module in modules(package):
        assert close(module(x)[:1], module(x[:1])), "rows of a batch touch each other"


def every_head_reads_every_feature(package: Package) -> None:
    x = random(N, L, E)
    nudged = x.clone()
    nudged[:, 0, 0] += 1.0
    for module in modules(package):
        _, before = module(x, need_weights=True)
        _, after = module(nudged, need_weights=True)
        moved = (before - after).abs().amax(dim=(0, 2, 3))
        assert (moved > 1e-6).all(), f"one feature moves the heads by {moved.tolist()}"


def weights_of_a_query_sum_to_one(package: Package) -> None:
    mask = torch.arange(S) < 4
    for module in modules(package):
        for attn_mask in (None, mask):
            _, weights = module(
                random(N, L, E), random(N, S, E), need_weights=True, attn_mask=attn_mask
            )
            assert close(weights.sum(-1), torch.ones(N, H, L).double()), "rows do not sum to 1"


def scores_have_variance_one(package: Package) -> None:
    """With inputs of variance 1 and projections that turn them only; log weights show scores."""
    x = random(1, 97, 32)
    for module in modules(package, num_heads=8, head_dim=4):
        for name, parameter in module.named_parameters():
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.eye_(parameter)
        for h, head in enumerate(getattr(module, "heads", [])):  # each its slice of the features
            for projection in (head.q_proj, head.k_proj, head.v_proj):
                projection.weight.data = torch.eye(32).double()[4 * h : 4 * h + 4]
        other = random(2, 97, 32)[1:]
        _, weights = module(x, other, need_weights=True)
        variance = weights.log().var(dim=-1).mean().item()
        assert math.isclose(variance, 1.0, abs_tol=0.2), f"scores have variance {variance:.2f}"


def padding_changes_nothing(package: Package) -> None:
    x, memory = random(N, L, E), random(N, S, E)
    mask = torch.arange(S) < 4
    for module in modules(package):
        padded, plain = module(x, memory, attn_mask=mask), module(x, memory[:, :4])
        assert close(padded, plain), "masked keys are read"


def padding_of_the_queries_own_sequence_changes_nothing(package: Package) -> None:
    x = random(N, L, E)
    mask = (torch.arange(L) < 3).expand(N, 1, L, L)
    for module in modules(package):
        padded, plain = module(x, attn_mask=mask)[:, :3], module(x[:, :3])
        assert close(padded, plain), "masked keys are read"


def truth_table_on_two_tokens(package: Package) -> None:
    mask = torch.tensor([[True, False], [False, True]])
    for module in modules(package):
        _, weights = module(random(N, 2, E), attn_mask=mask, need_weights=True)
        assert close(weights, torch.eye(2).double()), "True does not mean: may attend"


def a_query_that_reads_nothing_is_harmless(package: Package) -> None:
    x = random(N, L, E).requires_grad_()
    mask = torch.ones(L, L, dtype=torch.bool)
    mask[2] = False
    for module in modules(package):
        output = module(x, attn_mask=mask)
        assert output.isfinite().all(), "the output is not finite"
        bias = module.out_proj.bias.expand(N, E)
        assert close(output[:, 2], bias), "a query that reads nothing gives something"
        tensors = [x, *module.parameters()]
        with torch.autograd.set_detect_anomaly(True):  # RuntimeError for a NaN on the way, too
            gradients = torch.autograd.grad(module(x, attn_mask=mask).square().sum(), tensors)
        for gradient in gradients:
            assert gradient.isfinite().all(), "a gradient is not finite"


def key_length_may_differ(package: Package) -> None:
    for module in modules(package):
        output, weights = module(random(N, L, E), random(N, S, E), need_weights=True)
        assert output.shape == (N, L, E)
        assert weights.shape == (N, H, L, S)


def output_is_weights_times_values(package: Package) -> None:
    """One head, no projection but the identity: the output is a mean of the values, weighted."""
    x = random(N, L, E)
    for module in modules(package, num_heads=1, head_dim=E):
        for name, parameter in module.named_parameters():
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.eye_(parameter)
        output, weights = module(x, need_weights=True)
        mean = (weights[:, 0, :, :, None] * x[:, None]).sum(2)
        assert close(output, mean), "the output is not the weighted mean of the values"


def half_precision_is_finite(package: Package) -> None:
    """Unscaled scores of 100 * 100 * 16 do not fit in fp16, scaled by 4 they do."""
    mask = torch.ones(L, L, dtype=torch.bool).tril()
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.full((N, L, 16), 100.0, dtype=dtype)
        output, weights = package.scaled_dot_product_attention(x, x, x, attn_mask=mask)
        assert output.dtype == weights.dtype == dtype
        assert output.isfinite().all(), f"{dtype} overflows"
        assert (weights.triu(1) == 0).all(), f"masked keys are read in {dtype}"
        assert (output == 100).all(), f"a mean of equal values is another value in {dtype}"


def inputs_stay_as_they_were(package: Package) -> None:
    x, memory = random(N, L, E), random(N, S, E)
    mask = torch.arange(S) < 4
    before = [x.clone(), memory.clone(), mask.clone()]
    for module in modules(package):
        module(x, memory, attn_mask=mask, is_causal=True)
        package.scaled_dot_product_attention(x, memory, memory, attn_mask=mask, is_causal=True)
        same = [torch.equal(a, b) for a, b in zip(before, (x, memory, mask), strict=True)]
        assert all(same), "an input was changed in place"


def output_mixes_heads(package: Package) -> None:
    """Whatever one head alone reads reaches every feature of the output."""
    mask = torch.ones(H, L, L, dtype=torch.bool)
    other = mask.clone()
    other[0, :, 0] = False
    for module in modules(package):
        x = random(N, L, E)
        moved = (module(x, attn_mask=mask) - module(x, attn_mask=other)).abs().amax(dim=(0, 1))
        assert (moved > 1e-9).all(), "a head does not reach every feature of the output"


def one_step_changes_every_weight(package: Package) -> None:
    for module in modules(package):
        before = [weight.clone() for weight in used_weights(module)]
        module(random(N, L, E)).square().sum().backward()
        torch.optim.SGD(module.parameters(), lr=0.1).step()
        same = [torch.equal(*pair) for pair in zip(before, used_weights(module), strict=True)]
        assert not any(same), "a weight stays as it was after a step"


def used_weights(module: Any) -> list[Tensor]:
    """Find the heads' weights where they are used, registered or not."""
    owners = getattr(module, "heads", [module])
    return [getattr(owner, f"{name}_proj").weight for owner in owners for name in "qkv"]


PROPERTIES = [
    two_calls_agree,
    has_all_parameters,
    every_parameter_gets_a_gradient,
    heads_differ,
    order_of_tokens_does_not_matter,
    the_future_stays_unread,
    the_past_and_the_present_are_read,
    a_row_alone_is_the_row_in_a_batch,
    rows_of_a_batch_do_not_touch,
    every_head_reads_every_feature,
    weights_of_a_query_sum_to_one,
    scores_have_variance_one,
    padding_changes_nothing,
    padding_of_the_queries_own_sequence_changes_nothing,
    truth_table_on_two_tokens,
    a_query_that_reads_nothing_is_harmless,
    key_length_may_differ,
    output_is_weights_times_values,
    half_precision_is_finite,
    inputs_stay_as_they_were,
    output_mixes_heads,
    one_step_changes_every_weight,
]
