"""Name the known mistake that does exactly what an answer does, on everything it was tried on."""

from collections.abc import Mapping

from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention, Comparison
from cleanformer_lite.checks.engine.evidence import Evidence, UnreadableError
from cleanformer_lite.checks.engine.trials import LARGE, Contract
from cleanformer_lite.checks.mistake import Mistake

# Tried first: without a mask most mistakes are one, and with these most of the others show.
TELLING = ("plain", "blind", "padded", "causal")


def diagnose(
    evidence: Evidence, failed: tuple[str, ...], mistakes: Mapping[str, Mistake]
) -> tuple[str, ...]:
    """Return the mistakes that an answer cannot be told from: one if certain, none if unknown."""
    first = {name: known for name, known in mistakes.items() if not known.tells_last}
    last = {name: known for name, known in mistakes.items() if known.tells_last}
    named = by_symptoms(evidence, failed, first)
    return named or by_values(evidence, mistakes) or by_symptoms(evidence, failed, last)


def by_symptoms(
    evidence: Evidence, failed: tuple[str, ...], mistakes: Mapping[str, Mistake]
) -> tuple[str, ...]:
    """Name the mistake with these symptoms, if nothing fails that it does not explain."""
    for mistake in mistakes.values():
        if mistake.tells is None:
            continue
        if mistake.explains is not None and not set(failed) <= mistake.explains:
            continue
        try:
            if mistake.tells(evidence, failed):
                return (mistake.id,)
        except UnreadableError:
            continue
    return ()


def by_values(evidence: Evidence, mistakes: Mapping[str, Mistake]) -> tuple[str, ...]:
    """Run every mistake on the answer's own projections, and compare every call.

    Without weights, one way to read the projections may look like another with another mistake:
    then all of them count.
    """
    found: set[str] = set()
    fill = fill_of(evidence)
    for comparison in likely(evidence):
        if right_everywhere(comparison, fill):
            return ()
        for mistake in applicable(mistakes, evidence.contract):
            if any(same_everywhere(comparison, mistake, kind, fill) for kind in steps_of(mistake)):
                found.add(mistake.id)
        if found and evidence.contract.weights:
            break
    return tuple(name for name in mistakes if name in found)


def right_everywhere(comparison: Comparison, fill: str) -> bool:
    """Say whether the right attention equals the answer: then no mistake shows in values."""
    if comparison.reading.out is None or comparison.reading.is_tied or fill != "zero":
        return False
    right = Attention(comparison.reading, LARGE.num_heads)
    return all(comparison.same(right, name) for name in comparison.calls)


def applicable(mistakes: Mapping[str, Mistake], contract: Contract) -> list[Mistake]:
    """List the mistakes that a module under this contract can show in what it returns."""
    offered = {"masks": contract.masks, "causal": contract.causal}
    return [known for known in mistakes.values() if offered.get(known.needs, True)]


def steps_of(mistake: Mistake) -> list[type[Attention]]:
    """List the variants of a mistake that another value of a step shows."""
    return [
        kind for kind in mistake.classes if issubclass(kind, Attention) and kind.shows_in_values
    ]


def likely(evidence: Evidence) -> list[Comparison]:
    """Keep the readings under which the right attention gives the answer's weights, if any does."""
    if not evidence.contract.weights:
        return evidence.comparisons
    fitting = [comparison for comparison in evidence.comparisons if weights_fit(comparison)]
    return fitting or evidence.comparisons


def weights_fit(comparison: Comparison) -> bool:
    """Say whether the right attention on these projections gives the weights of the plain call."""
    return comparison.same_weights(Attention(comparison.reading, LARGE.num_heads), "plain")


def same_everywhere(
    comparison: Comparison, mistake: Mistake, kind: type[Attention], fill: str
) -> bool:
    """Say whether a mistake equals the answer in every call; blind rows get `fill`."""
    reading = comparison.reading
    if (reading.out is None) == kind.uses_out or reading.is_tied != kind.is_tied:
        return False
    attention = kind(reading, LARGE.num_heads)
    if kind.fill == "zero":
        attention.fill = fill
    names = sorted(comparison.calls, key=lambda name: name not in TELLING)
    return all(comparison.same(attention, name) for name in names if name not in mistake.may_differ)


def fill_of(evidence: Evidence) -> str:
    """See what an answer gives to a query that may attend to nothing."""
    maps = [evidence.call("large", name).weights for name in ("blind", "padded")]
    sums = [m.sum(-1) for m in maps if isinstance(m, Tensor) and m.dim() and not m.is_complex()]
    if any(bool(total.isnan().any()) for total in sums):
        return "nan"
    return "zero" if any(bool((total == 0).any()) for total in sums) else "mean"
