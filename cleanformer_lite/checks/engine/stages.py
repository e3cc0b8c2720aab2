"""Name the stage of the computation that goes wrong first, where stages can be read."""

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention, Comparison
from cleanformer_lite.checks.engine.compare import close, matches, same
from cleanformer_lite.checks.engine.evidence import Evidence, UnreadableError
from cleanformer_lite.checks.engine.properties import shares_are_of_two
from cleanformer_lite.checks.engine.trials import LARGE
from cleanformer_lite.checks.observations import CallOutcome, CaseOutcome, Listed

OF_DROPOUT = frozenset(
    {"dropout_off_in_eval", "dropout_on_in_training", "dropout_falls_on_weights"}
)
RETURNED = "returned weights: the output is right, so other weights made it"
SEEN = 1e-25  # smaller weights have lost their digits


def first_wrong_stage(evidence: Evidence, failed: tuple[str, ...]) -> str:
    """Name the stage that goes wrong first, and what shows it; empty if that cannot be read.

    The returned weights are compared, call by call, with those that the answer's own projections
    give; if they agree, everything up to the softmax is right.
    """
    if set(failed) <= OF_DROPOUT:
        return "dropout: without it everything is right"
    try:
        if not evidence.contract.weights or "input_unchanged" in failed:
            return ""
        if _are_others(evidence):
            return RETURNED
        if not close(evidence.weights("large", "single"), torch.ones(())):
            return "softmax: a single token gets a weight other than 1"
        if not shares_are_of_two(evidence):
            return "softmax: the ratio of two keys' weights changes with a third token"
        if _alone_is_wrong(evidence, failed):
            return "projection or output: a single token, whose weight is 1, gives a wrong output"
        return _by_weights(evidence)
    except (UnreadableError, RuntimeError, IndexError):  # what was seen may be odd in any way
        return ""


def _are_others(evidence: Evidence) -> bool:
    """Say whether every output is right, but the weights returned with it are not."""
    for comparison in evidence.comparisons:
        if comparison.reading.is_whole and _outputs_right(comparison, list(comparison.calls)):
            return not _weights_right(comparison, list(comparison.calls))
    return False


def _alone_is_wrong(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    """Say whether the output for a single token is not affine in that token."""
    alone = evidence.output("large", "single")[:, 0]
    gap = (alone[2] + alone[3] - alone[0] - alone[1]).abs().max()
    return "projections_are_linear" in failed and bool(gap > 1e-3 * alone.abs().max().clamp_min(1))


def _by_weights(evidence: Evidence) -> str:
    """Go through the calls without a mask, then through those with one."""
    whole = [comparison for comparison in evidence.comparisons if comparison.reading.is_whole]
    for comparison in whole:
        open_calls, masked = _calls_by_mask(comparison)
        if not _weights_right(comparison, open_calls):
            continue
        if not _outputs_right(comparison, open_calls):
            return _behind_the_weights(comparison, open_calls)
        if not _weights_right(comparison, masked):
            return "mask: without one, output and weights are right"
        if not _outputs_right(comparison, masked):
            return "mix: with a mask the weights are right, but the output is not made with them"
        return ""
    for comparison in whole:
        stage = _before_the_softmax(evidence, comparison)
        if stage:
            return stage
    return ""


def _calls_by_mask(comparison: Comparison) -> tuple[list[str], list[str]]:
    """List the calls without any mask, and those with one."""
    masked = [
        name
        for name, call in comparison.calls.items()
        if call.attn_mask is not None or call.is_causal
    ]
    return [name for name in comparison.calls if name not in masked], masked


def _weights_right(comparison: Comparison, names: list[str]) -> bool:
    right = Attention(comparison.reading, LARGE.num_heads)
    return all(comparison.same_weights(right, name) for name in names)


def _outputs_right(comparison: Comparison, names: list[str]) -> bool:
    right = Attention(comparison.reading, LARGE.num_heads)
    return all(
        _same_output(comparison.trial.call(name), comparison.output(right, name), name)
        for name in names
    )


def _same_output(seen: CallOutcome, target: Tensor, name: str) -> bool:
    """Compare an output; a query that sees nothing may get zero or the bias."""
    yours = seen.output
    if name == "blind" and isinstance(yours, Tensor) and yours.shape == target.shape:
        yours, target = yours[:, 1:], target[:, 1:]
    return matches(yours, target)


def _behind_the_weights(comparison: Comparison, names: list[str]) -> str:
    """Tell a wrong mix (a token gets numbers of others) from a wrong merge or output.

    In the second case every output is the same affine function of the merged heads.
    """
    right = Attention(comparison.reading, LARGE.num_heads)
    merged, outputs = [], []
    for name in names:
        seen = comparison.trial.call(name).output
        if not isinstance(seen, Tensor) or seen.shape != comparison.calls[name].x.shape:
            return "mix, merge or output: the weights are right"
        value = comparison.parts(right, name)[2]
        merged.append(right.merge(comparison.weights(right, name) @ value).flatten(0, 1))
        outputs.append(seen.float().flatten(0, 1))
    known, wanted = torch.cat(merged), torch.cat(outputs)
    if not bool(wanted.isfinite().all()):
        return "mix, merge or output: the weights are right, and the output is NaN"
    target = torch.cat([comparison.output(right, name).flatten(0, 1) for name in names])
    factor = float((wanted * target).sum() / target.square().sum())
    if close(wanted, factor * target):
        return f"output: it is {factor:.3g} times what it should be; the weights are right"
    if len(known) <= LARGE.embed_dim + 1:
        return "mix, merge or output: the weights are right"
    padded = torch.cat([known, torch.ones(len(known), 1)], dim=1).double()
    fitted = padded @ torch.linalg.lstsq(padded, wanted.double()).solution
    if (fitted - wanted).abs().max() <= 1e-3 * wanted.abs().max():
        return "merge or output: the weights are right, and each token is made from its own heads"
    return "mix or merge: the weights are right, but a token is not made from its own heads"


def _before_the_softmax(evidence: Evidence, comparison: Comparison) -> str:
    """Compare the logarithms of the weights with the scores of the answer's own projections.

    They equal the scores up to a shift of each row. A common factor is a wrong scale; rows that do
    not sum to 1 were divided by something other than their sum.
    """
    right = Attention(comparison.reading, LARGE.num_heads)
    query, key, _ = comparison.parts(right, "unmasked")
    scores, weights = right.scores(query, key), evidence.weights("large", "unmasked")
    if not bool((weights > SEEN).all()):
        return ""
    yours = weights.log()
    yours, target = yours - yours.mean(-1, keepdim=True), scores - scores.mean(-1, keepdim=True)
    slope = float((yours * target).sum() / target.square().sum())
    if slope <= 0.01 or not close(yours / slope, target):
        return ""
    if abs(slope - 1) > 1e-2:
        return f"scale: scores are {slope:.3g} times what they should be, and otherwise right"
    return "softmax: the scores are right, and rows are divided by something other than their sum"


def stage_of(yours: dict[str, CaseOutcome], target: dict[str, CaseOutcome]) -> str:
    """Name the first wrong stage of a function that returns output and weights, if one is right."""
    wrong: list[tuple[bool, bool]] = []
    for name, wanted in target.items():
        mine = yours[name].result
        if not isinstance(wanted.result, Listed) or wanted.result.length != 2:
            return ""
        if not isinstance(mine, Listed) or mine.length != 2:
            return ""
        right = [same(a, b) for a, b in zip(mine.items, wanted.result.items, strict=True)]
        if not all(right):
            wrong.append((right[0], right[1]))
    if wrong and all(weights for _, weights in wrong):
        return "mix or merge: the weights are right, but the output is not"
    if wrong and all(output for output, _ in wrong):
        return RETURNED
    return ""
