"""Mistakes whose projections cannot be compared: told by the set of properties that fail."""

from collections.abc import Callable

import torch
from torch import Tensor

from cleanformer_lite.checks.probes import LARGE, MOST_PARAMETERS
from cleanformer_lite.checks.properties import MOVED
from cleanformer_lite.checks.properties_weights import count
from cleanformer_lite.checks.view import UnreadableError, View

OF_HIDDEN_WEIGHTS = {
    "parameters_registered",
    "parameter_count",
    "gradients_reach_all",
    "every_weight_moves",
    "heads_are_independent",
    "dropout_off_in_eval",
    "equal_to_torch",
}
OF_NEW_WEIGHTS = OF_HIDDEN_WEIGHTS | {
    "calls_agree",
    "batch_independence",
    "permutation_equivariance",
    "causality",
    "padding_invariance",
}
OF_OTHER_COUNT = {"parameter_count", "heads_are_independent", "every_weight_moves"}


def by_symptoms(view: View, failed: tuple[str, ...]) -> tuple[str, ...]:
    """Name the species with these symptoms, if nothing fails that they do not explain."""
    for species, (shows, explains) in SYMPTOMS.items():
        if explains is not None and not set(failed) <= explains:
            continue
        try:
            if shows(view, failed):
                return (species,)
        except UnreadableError:
            continue
    return ()


def view_not_contiguous(view: View, failed: tuple[str, ...]) -> bool:
    """See the message that torch raises."""
    errors = [view.facts.get(f"{label}.plain.error") for label in ("small", "large")]
    return any(isinstance(e, str) and "view size is not compatible" in e for e in errors)


def built_in_forward(view: View, failed: tuple[str, ...]) -> bool:
    """See whether weights are new in every call."""
    return count(view, "fresh") > 0 and count(view, "numbers") < 4 * LARGE.embed_dim**2


def plain_list(view: View, failed: tuple[str, ...]) -> bool:
    """See whether weights stay and are not registered."""
    return count(view, "unregistered") > 0 and count(view, "fresh") == 0


def input_changed_in_place(view: View, failed: tuple[str, ...]) -> bool:
    """See whether an input was changed."""
    return "input_unchanged" in failed


def shared_layer(view: View, failed: tuple[str, ...]) -> bool:
    """See whether all heads have one map, or there are the weights of one head."""
    if not view.contract.weights:
        one_head = has_numbers(view, 3 * LARGE.head_dim * LARGE.embed_dim, 3 * LARGE.head_dim)
        return one_head and reads_whole_input(view)
    weights = view.weights("large", "plain")
    alike = (weights - weights[:, :1]).abs().max() <= MOVED
    return bool(alike) and count(view, "unregistered") == 0


def has_numbers(view: View, inputs: int, biases: int) -> bool:
    """Say whether there are just so many weights before an output projection, biases or not."""
    numbers = count(view, "numbers") - LARGE.embed_dim**2
    known = {inputs, inputs + biases, inputs + LARGE.embed_dim, inputs + biases + LARGE.embed_dim}
    return numbers in known and count(view, "unregistered") == 0


def reads_whole_input(view: View) -> bool:
    """Say whether another matrix than the output's has a side of E."""
    number = min(count(view, "parameters"), MOST_PARAMETERS)  # what a forged fact says is no limit
    sides = [view.facts.get(f"shape.{index}") for index in range(number)]
    known = [side.split(",") for side in sides if isinstance(side, str) and "," in side]
    return sum(str(LARGE.embed_dim) in side for side in known) > 1


def split_before_projection(view: View, failed: tuple[str, ...]) -> bool:
    """Say whether a feature moves the map of the one head that it belongs to, and of no other."""
    if not view.contract.weights:
        square, width = LARGE.head_dim**2, LARGE.head_dim
        small = (has_numbers(view, 3 * n * square, 3 * n * width) for n in (1, LARGE.num_heads))
        return any(small) and not reads_whole_input(view)
    before = view.weights("large", "plain")
    heads = torch.arange(LARGE.num_heads)
    for name, owner in (("nudge_first", 0), ("nudge_last", LARGE.num_heads - 1)):
        moved = (view.weights("large", name) - before).abs().amax(dim=(0, 2, 3)) > MOVED
        if not bool((moved == (heads == owner)).all()):
            return False
    return True


def dropout_in_eval(view: View, failed: tuple[str, ...]) -> bool:
    """See whether dropout is left on."""
    return "dropout_off_in_eval" in failed


def nan_rows(view: View, failed: tuple[str, ...]) -> bool:
    """Say whether only the gradients are not-a-number; the rest is seen by behaviour."""
    return any(
        isinstance(value, Tensor) and bool(value.isnan().any())
        for key, value in view.facts.items()
        if key.startswith("gradient.blind.")
    )


Shows = Callable[[View, tuple[str, ...]], bool]
SYMPTOMS: dict[str, tuple[Shows, set[str] | None]] = {
    "view_not_contiguous": (view_not_contiguous, None),
    "built_in_forward": (built_in_forward, OF_NEW_WEIGHTS),
    "plain_list": (plain_list, OF_HIDDEN_WEIGHTS),
    "input_changed_in_place": (input_changed_in_place, None),
    "shared_layer": (shared_layer, OF_OTHER_COUNT | {"heads_differ", "equal_to_torch"}),
    "split_before_projection": (
        split_before_projection,
        OF_OTHER_COUNT | {"every_head_sees_every_feature", "equal_to_torch"},
    ),
    "dropout_in_eval": (dropout_in_eval, {"dropout_off_in_eval"}),
    "nan_rows": (nan_rows, {"finite_on_blind_rows"}),
}
