"""What every right attention module has, whatever its style; no reference is needed for these."""

from collections.abc import Callable

import torch
from torch import Tensor

from cleanformer_lite.checks.closeness import close
from cleanformer_lite.checks.probes import TRIALS, Call, order
from cleanformer_lite.checks.report import Counterexample
from cleanformer_lite.checks.view import View, unequal

Property = Callable[[View, str], Counterexample | None]
MOVED = 1e-6


def output_shape(view: View, label: str) -> Counterexample | None:
    """The output has the shape of the input, `(N, L, E)`."""
    view.output(label, "plain")
    return None


def weights_shape(view: View, label: str) -> Counterexample | None:
    """The weights have shape `(N, H, L, L)`."""
    view.weights(label, "plain")
    return None


def input_unchanged(view: View, label: str) -> Counterexample | None:
    """The input is after a call what it was before."""
    for name, call in view.calls[label].items():
        after = view.facts.get(f"{label}.{name}.input")
        if isinstance(after, Tensor) and after.shape == call.x.shape:
            return unequal(view, label, name, after, call.x, "x after the call")
        if after is not None:
            return Counterexample(view.inputs(label, name), "another x", "x as it was")
    return None


def calls_agree(view: View, label: str) -> Counterexample | None:
    """Two calls on one input give one output."""
    first, second = view.output(label, "plain"), view.output(label, "again")
    return unequal(view, label, "again", second, first, "the output of a second call")


def batch_independence(view: View, label: str) -> Counterexample | None:
    """A sample alone gets what it gets in a batch."""
    for alone, together in (("alone", "plain"), ("padded_alone", "padded")):
        if alone in view.calls[label]:
            target = view.output(label, together)[-1:]
            found = unequal(view, label, alone, view.output(label, alone), target, "output")
            if found:
                return found
    return None


def permutation_equivariance(view: View, label: str) -> Counterexample | None:
    """Tokens in another order give outputs in that order."""
    target = view.output(label, "plain")[:, order(TRIALS[label])]
    yours = view.output(label, "permuted")
    return unequal(view, label, "permuted", yours, target, "output for tokens in another order")


def rows_sum_to_one(view: View, label: str) -> Counterexample | None:
    """The weights of every query sum to 1."""
    for name in ("plain", "padded"):
        if name in view.calls[label]:
            sums = view.weights(label, name).sum(dim=-1)
            found = unequal(view, label, name, sums, torch.ones_like(sums), "weights.sum(-1)")
            if found:
                return found
    return None


def heads_differ(view: View, label: str) -> Counterexample | None:
    """No two heads have one map."""
    weights = view.weights("large", "plain")
    for head in range(1, weights.shape[1]):
        if close(weights[:, head], weights[:, 0]):
            yours = f"heads 0 and {head} have one map between them"
            return Counterexample(view.inputs("large", "plain"), yours, "a map for each head")
    return None


def every_head_sees_every_feature(view: View, label: str) -> Counterexample | None:
    """Every input feature moves the map of every head."""
    before = view.weights("large", "plain")
    for name, feature in (("nudge_first", "0"), ("nudge_last", "-1")):
        moved = (view.weights("large", name) - before).abs().amax(dim=(0, 2, 3)) > MOVED
        if not moved.all():
            heads = torch.nonzero(moved).flatten().tolist()
            yours = f"x[..., {feature}] moves the maps of heads {heads} alone"
            return Counterexample(view.inputs("large", name), yours, "it moves the map of each")
    return None


def pattern(view: View, label: str, name: str, call: Call) -> Counterexample | None:
    """Compare which weights are above zero with which ones the mask allows."""
    weights = view.weights(label, name)
    allowed = torch.ones_like(weights, dtype=torch.bool)
    if call.attn_mask is not None:
        allowed = allowed & call.attn_mask
    if call.is_causal:
        allowed = allowed & torch.ones(weights.shape[-2:], dtype=torch.bool).tril()
    wrong = torch.where(allowed, weights <= 0.0, weights.abs() > MOVED) | weights.isnan()
    if not wrong.any():
        return None
    n, h, i, j = (int(index) for index in torch.nonzero(wrong)[0])
    target = "more than 0" if allowed[n, h, i, j] else "0"
    what = f"weights[{n}, {h}, {i}, {j}]"
    return Counterexample(view.inputs(label, name), f"{weights[n, h, i, j]:.4g}", target, what)


def causality(view: View, label: str) -> Counterexample | None:
    """What comes later changes nothing earlier; a token sees itself."""
    before = view.output(label, "causal")[:, :-1]
    after = view.output(label, "causal_changed")[:, :-1]
    what = "output of earlier tokens after the last was changed"
    found = unequal(view, label, "causal_changed", after, before, what)
    return found or pattern(view, label, "causal", view.calls[label]["causal"])


def masked_keys_get_nothing(view: View, label: str) -> Counterexample | None:
    """Masked keys weigh 0, all others more."""
    for name in ("padded", "per_head"):
        found = pattern(view, label, name, view.calls[label][name])
        if found:
            return found
    return None


def masks_combine(view: View, label: str) -> Counterexample | None:
    """A mask and `is_causal` act together."""
    return pattern(view, label, "causal_padded", view.calls[label]["causal_padded"])


def padding_invariance(view: View, label: str) -> Counterexample | None:
    """What stands in the padding changes no real token."""
    mask = view.calls[label]["padded"].attn_mask
    assert mask is not None
    real = mask[:, 0, 0]
    before = view.output(label, "padded")[real]
    after = view.output(label, "padded_changed")[real]
    what = "output of real tokens after the padding was changed"
    return unequal(view, label, "padded_changed", after, before, what)


def finite_on_blind_rows(view: View, label: str) -> Counterexample | None:
    """A query that sees nothing weighs all 0; output and gradients are numbers."""
    weights, output = view.weights(label, "blind"), view.output(label, "blind")
    blind = weights[:, :, 0]
    zeros = torch.zeros_like(blind)
    found = unequal(view, label, "blind", blind, zeros, "weights of a query that sees nothing")
    if found or output.isfinite().all():
        return found or finite_gradients(view)
    return Counterexample(view.inputs(label, "blind"), "not-a-number", "a number", "output")


def finite_gradients(view: View) -> Counterexample | None:
    """Look for not-a-number in the gradients when one query sees nothing."""
    for key, value in view.facts.items():
        if not key.startswith("gradient.blind.") or not isinstance(value, Tensor):
            continue
        if not value.isfinite().all():
            name = view.facts.get(f"name.{key.rpartition('.')[2]}")
            inputs = view.inputs("large", "blind")
            return Counterexample(inputs, "not-a-number", "a number", f"the gradient of {name}")
    return None
