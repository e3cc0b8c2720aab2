"""Properties of a module's own weights: registered, counted, reached, moved, dropped."""

import torch
from torch import Tensor

from cleanformer_lite.checks.parameters import TINY
from cleanformer_lite.checks.probes import LARGE, MOST_PARAMETERS
from cleanformer_lite.checks.report import Counterexample
from cleanformer_lite.checks.view import View, unequal

BUILT = f"a module of embed_dim={LARGE.embed_dim}, num_heads={LARGE.num_heads}"


def count(view: View, key: str) -> int:
    """Return a counted fact, -1 if there is none."""
    value = view.facts.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def matrices(view: View, prefix: str) -> list[tuple[str, Tensor | None]]:
    """Return name and tensor of a fact about each parameter that is larger than any bias."""
    found = []
    for index in range(min(count(view, "parameters"), MOST_PARAMETERS)):
        shape = str(view.facts.get(f"shape.{index}", ""))
        sizes = [int(part) for part in shape.split(",") if part.isdigit()]
        if torch.Size(sizes).numel() > 3 * LARGE.embed_dim:
            value = view.facts.get(f"{prefix}.{index}")
            fits = isinstance(value, Tensor) and list(value.shape) == sizes
            name = str(view.facts.get(f"name.{index}"))
            found.append((name, value if isinstance(value, Tensor) and fits else None))
    return found


def parameters_registered(view: View, label: str) -> Counterexample | None:
    """Every weight in use is a parameter, is kept, and is saved."""
    fresh, hidden = count(view, "fresh"), count(view, "unregistered")
    if fresh > 0:
        return Counterexample(BUILT, f"{fresh} weights are new in every call", "none is")
    if hidden != 0 or fresh < 0:
        yours = f"{hidden} of the {count(view, 'used')} weights in use are not registered"
        return Counterexample(BUILT, yours, "all are: parameters() lists them")
    saved, numbers = count(view, "saved"), count(view, "numbers")
    if saved < numbers:
        return Counterexample(BUILT, f"state_dict() holds {saved} numbers", f"{numbers}")
    return None


def parameter_count(view: View, label: str) -> Counterexample | None:
    """There are four projections of E to E, with bias or without."""
    square, numbers = LARGE.embed_dim**2, count(view, "numbers")
    if 4 * square <= numbers <= 4 * square + 4 * LARGE.embed_dim:
        return None
    target = f"4 * E * E = {4 * square}, and 4 * E = {4 * LARGE.embed_dim} more with biases"
    return Counterexample(BUILT, f"{numbers} numbers to learn", target)


def gradients_reach_all(view: View, label: str) -> Counterexample | None:
    """Every weight matrix gets a gradient."""
    for name, gradient in matrices(view, "gradient.four"):
        if gradient is None or not (gradient.abs() > 0).any():
            return Counterexample(BUILT, "no gradient", "a gradient", name)
    return None if count(view, "parameters") > 0 else Counterexample(BUILT, "no parameters", "some")


def every_weight_moves(view: View, label: str) -> Counterexample | None:
    """Every row and column of weights moves in a training step."""
    hidden = max(count(view, "unregistered"), count(view, "fresh"))
    if hidden != 0:
        yours = f"{hidden} weights that the optimizer is never told of"
        return Counterexample(BUILT, yours, "every weight moves in a step")
    for name, moved in matrices(view, "step"):
        if moved is None or not all_slices_move(moved):
            yours = "some rows or columns stay where they were"
            return Counterexample(BUILT, yours, "every weight moves in a step", name)
    return None


def all_slices_move(moved: Tensor) -> bool:
    """Say whether there is movement in every slice along every axis."""
    size = moved.abs().nan_to_num()
    axes = range(moved.dim())
    return all(
        bool((size.amax(dim=[other for other in axes if other != axis]) > 0).all()) for axis in axes
    )


def heads_are_independent(view: View, label: str) -> Counterexample | None:
    """The map of a head depends on its own queries and keys alone."""
    gradients = [gradient for _, gradient in matrices(view, "gradient.head")]
    largest = max((float(g.abs().max()) for g in gradients if g is not None), default=0.0)
    used = sum(int((g.abs() > TINY * largest).sum()) for g in gradients if g is not None)
    limit = 2 * LARGE.head_dim * LARGE.embed_dim
    if 0 < used <= limit:
        return None
    target = f"2 * D * E = {limit} at most: its queries' and its keys'"
    return Counterexample(BUILT, f"{used} weights move the map of head 0", target)


def dropout_off_in_eval(view: View, label: str) -> Counterexample | None:
    """Dropout does nothing in evaluation mode."""
    target = view.output("large", "plain")
    for name in ("first", "second"):
        yours = view.tensor("dropout", name, "output", tuple(target.shape))
        found = unequal(view, "large", "plain", yours, target, "output in eval() with dropout=0.5")
        if found:
            return found
    return None


def dropout_on_in_training(view: View, label: str) -> Counterexample | None:
    """Dropout does something in training mode."""
    target = view.output("large", "plain")
    yours = view.tensor("dropout", "training", "output", tuple(target.shape))
    if (yours - target).abs().max() > 1e-3:
        return None
    return Counterexample(BUILT, "dropout=0.5 changes nothing in train()", "it drops weights")
