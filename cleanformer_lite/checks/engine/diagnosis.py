"""Name the known mistake that does exactly what an answer does in every call."""

from collections.abc import Mapping

from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention, Comparison
from cleanformer_lite.checks.engine.evidence import Evidence, UnreadableError
from cleanformer_lite.checks.engine.trials import LARGE, Contract
from cleanformer_lite.checks.mistake import Mistake

# Tried first, because most mistakes show in one of these calls.
TELLING = ("unmasked", "blind", "padded", "causal")
# What a query that may attend to nothing may get.
FILLS = ("zero", "mean", "nan")


def diagnose(
    evidence: Evidence, failed: tuple[str, ...], mistakes: Mapping[str, Mistake]
) -> tuple[str, ...]:
    """Return the mistakes that explain an answer: one if certain, none if unknown."""
    first = {name: known for name, known in mistakes.items() if not known.tells_last}
    last = {name: known for name, known in mistakes.items() if known.tells_last}
    return (
        by_symptoms(evidence, failed, first)
        or by_values(evidence, mistakes)
        or by_kinds_of_calls(evidence, mistakes)
        or by_symptoms(evidence, failed, last)
    )


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

    Without weights, two readings of the projections may fit two mistakes; then both are returned.
    """
    found: set[str] = set()
    fill = fill_of(evidence)
    for comparison in likely(evidence):
        if right_everywhere(comparison, fill):
            return ()
        for mistake in applicable(mistakes, evidence.contract):
            kinds = steps_of(mistake, evidence.contract.causal)
            if any(same_everywhere(comparison, mistake, kind, fill) for kind in kinds):
                found.add(mistake.id)
        if found and evidence.contract.weights:
            break
    return tuple(name for name in mistakes if name in found)


def right_everywhere(comparison: Comparison, fill: str) -> bool:
    """Say whether the right attention equals the answer, so that no mistake shows in values."""
    if not comparison.reading.is_whole or fill != "zero":
        return False
    right = Attention(comparison.reading, LARGE.num_heads)
    return all(comparison.same(right, name) for name in comparison.calls)


def applicable(mistakes: Mapping[str, Mistake], contract: Contract) -> list[Mistake]:
    """List the mistakes that can show in what a module under this contract returns."""
    offered = {"masks": contract.masks, "causal": contract.causal}
    return [known for known in mistakes.values() if offered.get(known.needs, True)]


def steps_of(mistake: Mistake, is_causal: bool = True) -> list[type[Attention]]:
    """List the variants of a mistake that show in the value of a step."""
    return [
        kind
        for kind in mistake.classes
        if issubclass(kind, Attention)
        and kind.shows_in_values
        and (is_causal or not kind.needs_causal)
    ]


def likely(evidence: Evidence) -> list[Comparison]:
    """Keep the readings under which the right attention gives the answer's weights, if any does."""
    if not evidence.contract.weights:
        return evidence.comparisons
    fitting = [comparison for comparison in evidence.comparisons if weights_fit(comparison)]
    return fitting or evidence.comparisons


def weights_fit(comparison: Comparison) -> bool:
    """Say whether the right attention on these projections gives the unmasked call's weights."""
    return comparison.same_weights(Attention(comparison.reading, LARGE.num_heads), "unmasked")


def same_everywhere(
    comparison: Comparison, mistake: Mistake, kind: type[Attention], fill: str
) -> bool:
    """Say whether a mistake equals the answer in every call; blind queries get `fill`."""
    names = sorted(comparison.calls, key=lambda name: name not in TELLING)
    return same_in(comparison, mistake, kind, fill, names)


def same_in(
    comparison: Comparison, mistake: Mistake, kind: type[Attention], fill: str, names: list[str]
) -> bool:
    """Say whether a mistake equals the answer in some calls."""
    reading = comparison.reading
    if (reading.out is None) == kind.uses_out or reading.tied != kind.tied or reading.one_head:
        return False
    attention = kind(reading, LARGE.num_heads)
    if kind.fill == "zero":
        attention.fill = fill
    return all(comparison.same(attention, name) for name in names if name not in mistake.may_differ)


def by_kinds_of_calls(evidence: Evidence, mistakes: Mapping[str, Mistake]) -> tuple[str, ...]:
    """Name the mistake that an answer makes in all calls of one kind, whatever the others do.

    The kinds are: without a mask, with a mask, with `is_causal`. The first kind in which the answer
    is wrong decides, because whatever is wrong there spoils the later kinds too.
    """
    for comparison in likely(evidence):
        for names in kinds_of_calls(comparison):
            fill = right_with(comparison, names)
            if fill == "zero":
                continue
            found = tuple(
                mistake.id
                for mistake in applicable(mistakes, evidence.contract)
                if any(
                    fits(comparison, mistake, kind, fill, names)
                    for kind in steps_of(mistake, evidence.contract.causal)
                )
            )
            if found:
                return found
            break
    return ()


def fits(
    comparison: Comparison, mistake: Mistake, kind: type[Attention], fill: str, names: list[str]
) -> bool:
    """Say whether a mistake explains these calls, or the blind queries if all else is right."""
    if fill:
        return kind.fill == fill
    telling = [name for name in names if name not in mistake.may_differ]
    if not telling or right_with(comparison, telling):
        return False
    return any(same_in(comparison, mistake, kind, other, telling) for other in FILLS)


def kinds_of_calls(comparison: Comparison) -> list[list[str]]:
    """Sort calls by their arguments: no mask, a mask, `is_causal`; both together prove less."""
    kinds: dict[tuple[bool, bool], list[str]] = {}
    for name, call in comparison.calls.items():
        kinds.setdefault((call.attn_mask is not None, call.is_causal), []).append(name)
    return [kinds[kind] for kind in ((False, False), (True, False), (False, True)) if kind in kinds]


def right_with(comparison: Comparison, names: list[str]) -> str:
    """Return what blind queries get if all else is right in these calls; empty if it is not."""
    if not comparison.reading.is_whole:
        return ""
    for fill in FILLS:
        right = Attention(comparison.reading, LARGE.num_heads)
        right.fill = fill
        if all(comparison.same(right, name) for name in names):
            return fill
    return ""


def fill_of(evidence: Evidence) -> str:
    """Return what an answer gives a query that may attend to nothing: zero, mean or nan."""
    maps = [evidence.call("large", name).weights for name in ("blind", "padded")]
    sums = [m.sum(-1) for m in maps if isinstance(m, Tensor) and m.dim() and not m.is_complex()]
    if any(bool(total.isnan().any()) for total in sums):
        return "nan"
    return "zero" if any(bool((total == 0).any()) for total in sums) else "mean"
