"""Properties that need the projections: the scale of the scores, and equality in full."""

import math

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention, Comparison
from cleanformer_lite.checks.engine.compare import close, close_in_parts
from cleanformer_lite.checks.engine.evidence import BUILT, Evidence, unequal
from cleanformer_lite.checks.engine.layouts import Projections
from cleanformer_lite.checks.engine.trials import (
    DROPOUT,
    LARGE,
    alike_tokens,
    compared_calls,
    together,
)
from cleanformer_lite.checks.report import Counterexample


def score_scale(evidence: Evidence, label: str) -> Counterexample | None:
    """The scores are query times key over the root of D."""
    weights = evidence.weights("large", "unmasked")
    seen = weights > 1e-35  # smaller ones have lost their digits
    best = weights.argmax(dim=-1, keepdim=True)
    yours = against(weights.clamp_min(1e-35).log(), best)[seen]
    for reading in evidence.readings:
        target = against(scores(reading, evidence.calls["large"]["unmasked"].x), best)[seen]
        slope = float((yours * target).sum() / (target * target).sum())
        if slope > 0.01 and close(yours / slope, target):
            if abs(slope - 1) < 1e-2:
                return None
            inputs = evidence.inputs("large", "unmasked")
            what = "the scores, as a multiple of query @ key / sqrt(D)"
            return Counterexample(inputs, f"{slope:.4g}", "1", what)
    return None


def against(values: Tensor, best: Tensor) -> Tensor:
    """Subtract from every row one of its own values, because a softmax does not see a shift."""
    return values - values.gather(-1, best)


def scores(reading: Projections, x: Tensor) -> Tensor:
    """Compute the scores of every head from the projections."""
    # (N, L, E) -> (N, L, H, D) -> (N, H, L, D)
    split = (*x.shape[:2], LARGE.num_heads, LARGE.head_dim)
    query = (x @ reading.query.t() + reading.query_bias).view(split).transpose(1, 2)
    key = (x @ reading.key.t() + reading.key_bias).view(split).transpose(1, 2)
    return query @ key.transpose(-2, -1) / math.sqrt(LARGE.head_dim)


def equal_to_torch(evidence: Evidence, label: str) -> Counterexample | None:
    """Every call gives what `torch.nn.MultiheadAttention` gives with these weights."""
    usable = [comparison for comparison in evidence.comparisons if comparison.reading.is_whole]
    for comparison in usable:
        right = Attention(comparison.reading, LARGE.num_heads)
        if comparison.same(right, "unmasked") and equal_at_once(evidence, right):
            return None
    if usable:
        return first_gap(evidence, likeliest(usable))
    if not evidence.readings:
        yours = "gradients do not tell four projections apart, so there is nothing to compare"
        return Counterexample("any x", yours, "query, key, value and output, linear in x")
    return Counterexample("any x", *what_is_missing(evidence.readings[0]))


def what_is_missing(reading: Projections) -> tuple[str, str]:
    """Say which of the four projections is missing or shared."""
    if reading.out is None:
        return "no output projection is found", "one, linear, from E to E"
    if reading.tied:
        pair = {"all": "query, key and value", "value is key": "key and value"}
        return f"one projection makes {pair.get(reading.tied, 'query and key')}", "one for each"
    return f"one head's {' and '.join(reading.one_head)} serve all heads", "each head has its own"


def dropout_falls_on_weights(evidence: Evidence, label: str) -> Counterexample | None:
    """Dropout sets single weights to 0 and divides the others by 1 - p."""
    x = alike_tokens(LARGE, evidence.seed)
    yours = evidence.with_dropout("alike", tuple(x.shape))
    for comparison in evidence.comparisons:
        reading = comparison.reading
        right = Attention(reading, LARGE.num_heads)
        if reading.out is None or not comparison.same(right, "unmasked"):
            continue
        # With all tokens alike every head gives its value times the share of weights that is left.
        value = right.parts(x[:1, :1])[2][0, :, 0]  # (H, D)
        columns = reading.out.view(LARGE.embed_dim, *value.shape)
        made = torch.einsum("ehd,hd->he", columns, value)
        left = (yours - reading.out_bias).flatten(0, 1)  # (N * L, E)
        shares = left @ torch.linalg.pinv(made)
        kept = (shares * x.shape[1] * (1 - DROPOUT)).view(*x.shape[:2], -1)  # (N, L, H)
        whole = (kept - kept.round()).abs().max() < 0.02 and kept.max() < x.shape[1] + 0.02
        apart = (left - shares @ made).abs().max() / left.abs().max().clamp_min(1.0)
        mean = float(kept.mean()) / x.shape[1]
        inputs = f"{BUILT}, dropout={DROPOUT}, in train(), all tokens alike"
        target = f"{DROPOUT:.0%} of the weights are set to 0, the others divided by {1 - DROPOUT}"
        if not whole or apart >= 1e-3 or abs(mean - (1 - DROPOUT)) >= 0.15:
            found = "something other than single weights is dropped, or at another rate"
            return Counterexample(inputs, found, target)
        if not one_by_one(kept.round(), x.shape[1]):
            found = "weights of one map, query or key are dropped together"
            return Counterexample(inputs, found, f"{target}, each by itself")
        return None
    return None


def one_by_one(kept: Tensor, keys: int) -> bool:
    """Say whether dropout draws each weight by itself; `kept` `(N, L, H)` counts the keys left.

    If not, a query keeps all keys or none, or samples, queries or heads keep equally many.
    """
    some = bool(((kept > 0) & (kept < keys)).any())
    return some and all(bool((kept != kept.roll(1, axis)).any()) for axis in range(kept.dim()))


def likeliest(usable: list[Comparison]) -> Comparison:
    """Choose the reading to show: one that gives the answer's numbers, or the first."""
    for fits in (Comparison.same, Comparison.same_weights):
        for comparison in usable:
            if fits(comparison, Attention(comparison.reading, LARGE.num_heads), "unmasked"):
                return comparison
    return usable[0]


def equal_at_once(evidence: Evidence, right: Attention) -> bool:
    """Say whether an answer and a behaviour agree in all calls; one batch saves time."""
    batch, names = (
        together(LARGE, evidence.contract, evidence.seed),
        list(compared_calls(LARGE, evidence.contract, evidence.seed)),
    )
    assert batch.attn_mask is not None
    sizes = [len(evidence.calls["large"][name].x) for name in names]
    output, weights = right(batch.x, batch.attn_mask)
    blind = ~batch.attn_mask.any(dim=-1).any(dim=1)[..., None]  # may get zero or the bias
    yours = torch.cat([evidence.output("large", name) for name in names]).masked_fill(blind, 0.0)
    if not close_in_parts(yours, output.masked_fill(blind, 0.0), sizes):
        return False
    if not evidence.contract.weights:
        return True
    maps = torch.cat([evidence.weights("large", name) for name in names])
    return close_in_parts(maps, weights, sizes)


def first_gap(evidence: Evidence, comparison: Comparison) -> Counterexample | None:
    """Return the first call in which an answer and the right attention differ."""
    right = Attention(comparison.reading, LARGE.num_heads)
    for name in comparison.calls:
        found = None
        if evidence.contract.weights:  # a row of weights is easier to read than one number
            yours = evidence.weights("large", name)
            what = f"weights of the call {name!r}"
            found = unequal(evidence, "large", name, yours, comparison.weights(right, name), what)
        yours, output = evidence.output("large", name), comparison.output(right, name)
        if name == "blind":  # a query that sees nothing may get zero or the bias
            yours, output = yours[:, 1:], output[:, 1:]
        what = f"output of the call {name!r}"
        found = found or unequal(evidence, "large", name, yours, output, what)
        if found:
            return found
    return None


def heads_share(evidence: Evidence, part: str) -> bool:
    """Say whether an answer is right except that one head's `part` serves all heads.

    Shared queries are another mistake: they make all heads one.
    """
    for comparison in evidence.comparisons:
        right = Attention(comparison.reading, LARGE.num_heads)
        shared = comparison.reading.one_head
        if part not in shared or "query" in shared:
            continue
        if all(comparison.same(right, name) for name in comparison.calls):
            return True
    return False
