"""Properties of every right attention module; none of them needs a reference."""

from collections.abc import Callable

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.compare import NAN, close, shown
from cleanformer_lite.checks.engine.evidence import Evidence, unequal
from cleanformer_lite.checks.engine.trials import LOUD, TRIALS, Call, order
from cleanformer_lite.checks.report import Counterexample

Property = Callable[[Evidence, str], Counterexample | None]
NOTICEABLE = 1e-6
LEAST = 1e-30


def output_shape(evidence: Evidence, label: str) -> Counterexample | None:
    """The output has the shape of the input, `(N, L, E)`."""
    evidence.output(label, "unmasked")
    return None


def weights_shape(evidence: Evidence, label: str) -> Counterexample | None:
    """The weights have shape `(N, H, L, L)`."""
    evidence.weights(label, "unmasked")
    return None


def input_unchanged(evidence: Evidence, label: str) -> Counterexample | None:
    """A call leaves its input unchanged."""
    for name, call in evidence.calls[label].items():
        after = evidence.call(label, name).changed_input
        if isinstance(after, Tensor) and after.shape == call.x.shape:
            return unequal(evidence, label, name, after, call.x, "x after the call")
        if after is not None:
            return Counterexample(evidence.inputs(label, name), "another x", "x as it was")
    return None


def calls_agree(evidence: Evidence, label: str) -> Counterexample | None:
    """Two calls with the same input give the same output."""
    first, second = evidence.output(label, "unmasked"), evidence.output(label, "again")
    return unequal(evidence, label, "again", second, first, "the output of a second call")


def batch_independence(evidence: Evidence, label: str) -> Counterexample | None:
    """A sample gives the same output alone as in a batch."""
    for alone, together in (("alone", "unmasked"), ("padded_alone", "padded")):
        if alone in evidence.calls[label]:
            target = evidence.output(label, together)[-1:]
            found = unequal(evidence, label, alone, evidence.output(label, alone), target, "output")
            if found:
                return found
    return None


def permutation_equivariance(evidence: Evidence, label: str) -> Counterexample | None:
    """Tokens in another order give outputs in that order."""
    target = evidence.output(label, "unmasked")[:, order(TRIALS[label])]
    yours = evidence.output(label, "permuted")
    return unequal(evidence, label, "permuted", yours, target, "output for tokens in another order")


def projections_are_linear(evidence: Evidence, label: str) -> Counterexample | None:
    """Queries, keys, values and output are affine in the input."""
    alone = evidence.output("large", "single")[:, 0]
    found = unequal_sums(evidence, "single", alone, "the output for one token")
    if found or not evidence.contract.weights:
        return found
    logs = evidence.weights("large", "triple").clamp_min(LEAST).log()
    for row, (first, second), what in (
        (0, (1, 2), "scores in the query"),
        (2, (0, 1), "scores in the key"),
    ):
        gap = logs[:, :, row, first] - logs[:, :, row, second]
        found = found or unequal_sums(evidence, "triple", gap, what)
    return found


def shares_are_of_two(evidence: Evidence) -> bool:
    """Say whether the ratio of two keys' weights depends only on the query and these two keys.

    In the samples of `triple` only the first token differs. If it changes the ratio, the weights
    are not a softmax of one score for each pair.
    """
    if not evidence.contract.weights:
        return True
    logs = evidence.weights("large", "triple").clamp_min(LEAST).log()
    gap = logs[:, :, 1:, 1] - logs[:, :, 1:, 2]
    return bool((gap - gap[:1]).abs().max() <= 1e-3 * max(1.0, float(gap.abs().max())))


def unequal_sums(evidence: Evidence, name: str, values: Tensor, what: str) -> Counterexample | None:
    """Compare f(a) + f(b) with f(a + b) + f(0)."""
    yours, target = values[2] + values[3], values[0] + values[1]
    if (yours - target).abs().max() <= 1e-3 * max(1.0, float(values.abs().max())):
        return None
    what = f"{what}: f(a + b) + f(0), f(a) + f(b), "
    return unequal(evidence, "large", name, yours, target, what)


def rows_sum_to_one(evidence: Evidence, label: str) -> Counterexample | None:
    """The weights of every query sum to 1."""
    for name in ("unmasked", "padded", "loud"):
        if name in evidence.calls[label]:
            sums = evidence.weights(label, name).sum(dim=-1)
            found = unequal(evidence, label, name, sums, torch.ones_like(sums), "weights.sum(-1)")
            if found:
                return found
    return None


def heads_differ(evidence: Evidence, label: str) -> Counterexample | None:
    """No two heads have the same map."""
    weights = evidence.weights("large", "unmasked")
    for head in range(1, weights.shape[1]):
        if close(weights[:, head], weights[:, 0]):
            yours = f"heads 0 and {head} have the same map"
            return Counterexample(
                evidence.inputs("large", "unmasked"), yours, "each head has its own map"
            )
    return None


def every_head_sees_every_feature(evidence: Evidence, label: str) -> Counterexample | None:
    """Every input feature changes the map of every head."""
    for name, feature in (("nudge_first", "0"), ("nudge_last", "-1")):
        changed = heads_changed_by(evidence, name)
        if not changed.all():
            heads = torch.nonzero(changed).flatten().tolist()
            yours = f"x[..., {feature}] changes only the maps of heads {heads}"
            return Counterexample(
                evidence.inputs("large", name), yours, "it changes the map of every head"
            )
    return None


def heads_changed_by(evidence: Evidence, name: str) -> Tensor:
    """Say for each head whether its map in a call differs from that of the first call."""
    before = evidence.weights("large", "unmasked")
    return (evidence.weights("large", name) - before).abs().amax(dim=(0, 2, 3)) > NOTICEABLE


def pattern(evidence: Evidence, label: str, name: str, call: Call) -> Counterexample | None:
    """Compare the weights above zero with those that the mask allows."""
    weights = evidence.weights(label, name)
    allowed = torch.ones_like(weights, dtype=torch.bool)
    if call.attn_mask is not None:
        allowed = allowed & call.attn_mask
    if call.is_causal:
        allowed = allowed & torch.ones(weights.shape[-2:], dtype=torch.bool).tril()
    # A weight that is tiny without a mask may underflow with one.
    unmasked = evidence.weights(label, "unmasked")
    lost = (weights <= 0.0) & ((weights < 0.0) | (unmasked > LEAST))
    wrong = torch.where(allowed, lost, weights.abs() > NOTICEABLE) | weights.isnan()
    if not wrong.any():
        return None
    n, h, i, j = (int(index) for index in torch.nonzero(wrong)[0])
    target = "more than 0" if allowed[n, h, i, j] else "0"
    what = f"weights[{n}, {h}, {i}, {j}]"
    return Counterexample(
        evidence.inputs(label, name), shown(float(weights[n, h, i, j])), target, what
    )


def causality(evidence: Evidence, label: str) -> Counterexample | None:
    """Later tokens change no earlier output, and a token sees itself."""
    before = evidence.output(label, "causal")[:, :-1]
    after = evidence.output(label, "causal_changed")[:, :-1]
    what = "output of earlier tokens after the last was changed"
    found = unequal(evidence, label, "causal_changed", after, before, what)
    return found or pattern(evidence, label, "causal", evidence.calls[label]["causal"])


def masked_keys_get_nothing(evidence: Evidence, label: str) -> Counterexample | None:
    """Masked keys get weight 0, all others more than 0."""
    for name in ("padded", "per_head"):
        call = evidence.calls[label].get(name)
        found = call and pattern(evidence, label, name, call)
        if found:
            return found
    return quiet_when_loud(evidence) if label == "large" else None


def quiet_when_loud(evidence: Evidence) -> Counterexample | None:
    """Look for weight on masked keys when all scores are far from zero."""
    mask = evidence.calls["large"]["loud"].attn_mask
    assert mask is not None
    most = evidence.weights("large", "loud").masked_fill(mask, 0.0).abs().amax()
    if most <= NOTICEABLE:
        return None
    what = f"the weight of a masked key, x {LOUD:g} times as large"
    return Counterexample(evidence.inputs("large", "loud"), shown(float(most)), "0", what)


def masks_combine(evidence: Evidence, label: str) -> Counterexample | None:
    """A mask and `is_causal` act together."""
    return pattern(evidence, label, "causal_padded", evidence.calls[label]["causal_padded"])


def padding_invariance(evidence: Evidence, label: str) -> Counterexample | None:
    """The content of the padding changes no output of a real token."""
    mask = evidence.calls[label]["padded"].attn_mask
    assert mask is not None
    real = mask[:, 0, 0]
    before = evidence.output(label, "padded")[real]
    after = evidence.output(label, "padded_changed")[real]
    what = "output of real tokens after the padding was changed"
    return unequal(evidence, label, "padded_changed", after, before, what)


def finite_on_blind_rows(evidence: Evidence, label: str) -> Counterexample | None:
    """A query that sees nothing gets weights of 0, and output and gradients are finite."""
    weights, output = evidence.weights(label, "blind"), evidence.output(label, "blind")
    blind = weights[:, :, 0]
    zeros = torch.zeros_like(blind)
    found = unequal(evidence, label, "blind", blind, zeros, "weights of a query that sees nothing")
    if found or output.isfinite().all():
        return found or finite_gradients(evidence)
    return Counterexample(evidence.inputs(label, "blind"), NAN, "a number", "output")


def finite_gradients(evidence: Evidence) -> Counterexample | None:
    """Look for NaN in the gradients when one query sees nothing."""
    gradients = evidence.observed.gradients.blind
    for name, gradient in zip(evidence.observed.registered.names, gradients, strict=False):
        if gradient is not None and not gradient.isfinite().all():
            inputs = evidence.inputs("large", "blind")
            return Counterexample(inputs, NAN, "a number", f"the gradient of {name}")
    return None
