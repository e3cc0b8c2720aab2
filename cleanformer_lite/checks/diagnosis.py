"""Name the known mistake that does exactly what an answer does, on everything it was tried on."""

from torch import Tensor

from cleanformer_lite.checks import specimens_masks
from cleanformer_lite.checks.attention import Attention
from cleanformer_lite.checks.probes import LARGE, Contract
from cleanformer_lite.checks.specimen_modules import BEHAVIOURS
from cleanformer_lite.checks.symptoms import by_symptoms
from cleanformer_lite.checks.view import View
from cleanformer_lite.checks.workings import Workings

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
# Tried first: without a mask most mistakes are one, and with these most of the others show.
TELLING = ("plain", "blind", "padded", "causal")


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
    fill = fill_of(view)
    for workings in likely(view):
        for species in applicable(view.contract):
            variants = BEHAVIOURS[species]
            if any(same_everywhere(workings, species, variant, fill) for variant in variants):
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


def likely(view: View) -> list[Workings]:
    """Keep the readings under which the right attention gives the answer's weights, if any does."""
    if not view.contract.weights:
        return view.workings
    fitting = [workings for workings in view.workings if weights_fit(workings)]
    return fitting or view.workings


def weights_fit(workings: Workings) -> bool:
    """Say whether the right attention on these projections gives the weights of the plain call."""
    return workings.same_weights(Attention(workings.reading, LARGE.num_heads), "plain")


def same_everywhere(workings: Workings, species: str, variant: type[Attention], fill: str) -> bool:
    """Say whether a behaviour equals the answer's in every call; blind rows get `fill`."""
    reading = workings.reading
    if (reading.out is None) != (species == "no_output_projection"):
        return False
    if reading.is_tied != (species == "value_uses_key"):
        return False
    behaviour = variant(reading, LARGE.num_heads)
    if variant.fill == "zero":
        behaviour.fill = fill
    free = MAY_DIFFER.get(species, ())
    names = sorted(workings.calls, key=lambda name: name not in TELLING)
    return all(workings.same(behaviour, name) for name in names if name not in free)


def fill_of(view: View) -> str:
    """See what an answer gives to a query that may attend to nothing."""
    maps = [view.facts.get(f"large.{name}.weights") for name in ("blind", "padded")]
    rows = [m.sum(-1) for m in maps if isinstance(m, Tensor) and m.dim() and not m.is_complex()]
    if any(bool(row.isnan().any()) for row in rows):
        return "nan"
    return "zero" if any(bool((row == 0).any()) for row in rows) else "mean"
