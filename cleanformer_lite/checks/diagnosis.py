"""Name the known mistake that does exactly what an answer does, on everything it was tried on."""

from collections.abc import Iterator

from torch import Tensor

from cleanformer_lite.checks import specimens_masks
from cleanformer_lite.checks.probes import LARGE, Contract
from cleanformer_lite.checks.reading import Projections
from cleanformer_lite.checks.specimen_modules import BEHAVIOURS
from cleanformer_lite.checks.specimens import Attention
from cleanformer_lite.checks.symptoms import by_symptoms
from cleanformer_lite.checks.view import View, close

# These differ from the right attention in nothing that a call in evaluation mode returns, or in
# their input: symptoms tell of them.
WITHOUT_VALUES = ("dropout_in_eval", "input_changed_in_place")
OF_MASKS = {
    species
    for species, variants in BEHAVIOURS.items()
    if variants[0].__module__ == specimens_masks.__name__
}
# Where code with this mistake may do one thing or another: with a mask of its own for each head,
# and with masks that do not fit the shapes that it makes.
MAY_DIFFER = {
    "mask_repeat_order": ("per_head",),
    "batch_first_forgotten": (
        "padded",
        "padded_changed",
        "padded_alone",
        "per_head",
        "blind",
        "causal_padded",
        "causal",
        "causal_changed",
    ),
}
# Without weights these are one thing: read query as key, and key as query.
TWINS = {"registration_bug.repair": ("softmax_over_queries", "einsum_axes_swapped")}
# Tried first: most mistakes show in one of them.
TELLING = ("blind", "padded", "causal")


def diagnose(view: View, failed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the species that an answer cannot be told from: one if certain, none if unknown."""
    named = by_symptoms(view, failed)
    return named or by_behaviour(view)


def by_behaviour(view: View) -> tuple[str, ...]:
    """Run every species on the answer's own projections, and compare every call.

    Without weights, one way to read the projections may look like another with another mistake:
    then all of them count.
    """
    found: set[str] = set()
    for reading in likely(view):
        for species in applicable(view.contract):
            variants = BEHAVIOURS[species]
            if any(same_everywhere(view, species, variant, reading) for variant in variants):
                found.add(species)
        if found and view.contract.weights:
            break
    return tuple(species for species in BEHAVIOURS if species in found)


def applicable(contract: Contract) -> list[str]:
    """List the species that a module under this contract can show in what it returns."""
    left_out = set(WITHOUT_VALUES)
    if not contract.masks:
        left_out |= OF_MASKS
    if not contract.causal:
        left_out.add("causal_mask_shifted")
    return [species for species in BEHAVIOURS if species not in left_out]


def likely(view: View) -> Iterator[Projections]:
    """Try first the readings under which the right attention gives the answer's weights."""
    if not view.contract.weights:
        yield from view.readings
        return
    fitting = [reading for reading in view.readings if weights_fit(view, reading)]
    yield from fitting or view.readings


def weights_fit(view: View, reading: Projections) -> bool:
    """Say whether the right attention on these projections gives the weights of the plain call."""
    yours = view.facts.get("large.plain.weights")
    _, weights = Attention(reading, LARGE.num_heads)(view.calls["large"]["plain"].x)
    return isinstance(yours, Tensor) and agree(yours, weights)


def same_everywhere(
    view: View, species: str, variant: type[Attention], reading: Projections
) -> bool:
    """Say whether a behaviour equals the answer's in every call; blind rows get what it gives."""
    if (reading.out is None) != (species == "no_output_projection"):
        return False
    if reading.is_tied != (species == "value_uses_key"):
        return False
    behaviour = variant(reading, LARGE.num_heads)
    if variant.fill == "zero":
        behaviour.fill = fill_of(view)
    free = MAY_DIFFER.get(species, ())
    names = sorted(view.calls["large"], key=lambda name: name not in TELLING)
    return all(same_call(view, behaviour, name) for name in names if name not in free)


def fill_of(view: View) -> str:
    """See what an answer gives to a query that may attend to nothing."""
    maps = [view.facts.get(f"large.{name}.weights") for name in ("blind", "padded")]
    rows = [m.sum(-1) for m in maps if isinstance(m, Tensor) and m.dim() and not m.is_complex()]
    if any(bool(row.isnan().any()) for row in rows):
        return "nan"
    return "zero" if any(bool((row == 0).any()) for row in rows) else "mean"


def same_call(view: View, behaviour: Attention, name: str) -> bool:
    """Say whether a behaviour returns in one call what the answer returned, errors included."""
    call = view.calls["large"][name]
    raised = f"large.{name}.error" in view.facts
    try:
        output, weights = behaviour(call.x.clone(), call.attn_mask, call.is_causal)
    except (RuntimeError, IndexError):
        return raised
    if raised or not agree(view.facts.get(f"large.{name}.output"), output):
        return False
    return not view.contract.weights or agree(view.facts.get(f"large.{name}.weights"), weights)


def agree(yours: object, theirs: Tensor) -> bool:
    """Say whether a fact is this tensor; not-a-number must stand in the same places."""
    if not isinstance(yours, Tensor) or yours.shape != theirs.shape:
        return False
    if not yours.is_floating_point():
        return False
    gaps = yours.isnan()
    same_gaps = bool((gaps == theirs.isnan()).all())
    return same_gaps and close(yours[~gaps].float(), theirs[~gaps])
