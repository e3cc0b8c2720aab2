"""Properties of a module's parameters and dropout: registered, counted, trained, dropped."""

import itertools

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.evidence import BUILT, Evidence, unequal
from cleanformer_lite.checks.engine.layouts import TINY
from cleanformer_lite.checks.engine.trials import DROPOUT, LARGE
from cleanformer_lite.checks.observations import Tensors
from cleanformer_lite.checks.report import Counterexample


def matrices(evidence: Evidence, tensors: Tensors) -> list[tuple[str, Tensor | None]]:
    """Return the name of each parameter larger than a bias, with its tensor out of `tensors`."""
    registered, found = evidence.observed.registered, []
    together = itertools.zip_longest(registered.names, registered.shapes, tensors)
    for name, shape, value in itertools.islice(together, len(registered.names)):
        if torch.Size(shape).numel() > 3 * LARGE.embed_dim:
            fits = value is not None and value.shape == shape
            found.append((name, value if fits else None))
    return found


def parameters_registered(evidence: Evidence, label: str) -> Counterexample | None:
    """Every parameter in use is registered, is kept, and is saved."""
    graph, registered = evidence.observed.graph, evidence.observed.registered
    if graph.fresh > 0:
        return Counterexample(
            BUILT, f"{graph.fresh} parameters are new in every call", "none is new"
        )
    if graph.unregistered != 0 or graph.fresh < 0:
        yours = f"{graph.unregistered} of the {graph.used} parameters in use are not registered"
        return Counterexample(BUILT, yours, "parameters() lists all of them")
    if registered.saved < registered.numbers:
        yours = f"state_dict() holds {registered.saved} numbers"
        return Counterexample(BUILT, yours, f"{registered.numbers}")
    return None


def parameter_count(evidence: Evidence, label: str) -> Counterexample | None:
    """There are four projections from E to E, with or without bias."""
    square, numbers = LARGE.embed_dim**2, evidence.observed.registered.numbers
    if 4 * square <= numbers <= 4 * square + 4 * LARGE.embed_dim:
        return None
    target = f"4 * E * E = {4 * square}, and 4 * E = {4 * LARGE.embed_dim} more with biases"
    return Counterexample(BUILT, f"{numbers} numbers to learn", target)


def gradients_reach_all(evidence: Evidence, label: str) -> Counterexample | None:
    """Every parameter matrix gets a gradient."""
    for name, gradient in matrices(evidence, evidence.observed.gradients.four):
        if gradient is None or not (gradient.abs() > 0).any():
            return Counterexample(BUILT, "no gradient", "a gradient", name)
    return (
        None
        if evidence.observed.registered.names
        else Counterexample(BUILT, "no parameters", "some")
    )


def every_weight_moves(evidence: Evidence, label: str) -> Counterexample | None:
    """A training step changes every row and column of every parameter matrix."""
    hidden = max(evidence.observed.graph.unregistered, evidence.observed.graph.fresh)
    if hidden != 0:
        yours = f"{hidden} parameters that the optimizer does not know"
        return Counterexample(BUILT, yours, "a step changes every parameter")
    for name, change in matrices(evidence, evidence.observed.step):
        if change is None or not all_slices_move(change):
            yours = "some rows or columns stay as they were"
            return Counterexample(BUILT, yours, "a step changes every parameter", name)
    return None


def all_slices_move(change: Tensor) -> bool:
    """Say whether something changes in every slice along every axis."""
    size = change.abs().nan_to_num()
    axes = range(change.dim())
    return all(
        bool((size.amax(dim=[other for other in axes if other != axis]) > 0).all()) for axis in axes
    )


def heads_are_independent(evidence: Evidence, label: str) -> Counterexample | None:
    """The map of a head depends only on its own queries and keys."""
    if evidence.observed.head_error is not None:  # maps that are only displayed have no gradient
        return None
    used = parameters_behind_a_map(evidence)
    limit = 2 * LARGE.head_dim * LARGE.embed_dim
    if 0 < used <= limit:
        return None
    target = f"at most 2 * D * E = {limit}: those of its queries and keys"
    return Counterexample(BUILT, f"{used} parameters change the map of head 0", target)


def parameters_behind_a_map(evidence: Evidence) -> int:
    """Count the numbers in parameters that change the map of head 0."""
    gradients = [gradient for _, gradient in matrices(evidence, evidence.observed.gradients.head)]
    largest = max((float(g.abs().max()) for g in gradients if g is not None), default=0.0)
    return sum(int((g.abs() > TINY * largest).sum()) for g in gradients if g is not None)


def dropout_off_in_eval(evidence: Evidence, label: str) -> Counterexample | None:
    """Dropout does nothing in evaluation mode."""
    target = evidence.output("large", "unmasked")
    for name in ("first", "second"):
        yours = evidence.with_dropout(name, tuple(target.shape))
        found = unequal(
            evidence, "large", "unmasked", yours, target, "output in eval() with dropout"
        )
        if found:
            return found
    return None


def dropout_on_in_training(evidence: Evidence, label: str) -> Counterexample | None:
    """Dropout does something in training mode."""
    target = evidence.output("large", "unmasked")
    yours = evidence.with_dropout("training", tuple(target.shape))
    if (yours - target).abs().max() > 1e-3:
        return None
    none = f"dropout={DROPOUT} changes nothing in train()"
    return Counterexample(BUILT, none, "it drops weights")


def parameters_before_output(evidence: Evidence, inputs: int, biases: int) -> bool:
    """Say whether `inputs` numbers come before an output projection, with or without `biases`."""
    numbers = evidence.observed.registered.numbers - LARGE.embed_dim**2
    known = {inputs, inputs + biases, inputs + LARGE.embed_dim, inputs + biases + LARGE.embed_dim}
    return numbers in known and evidence.observed.graph.unregistered == 0


def reads_whole_input(evidence: Evidence) -> bool:
    """Say whether a matrix other than the output's has a side of E."""
    shapes = evidence.observed.registered.shapes
    return sum(len(shape) > 1 and LARGE.embed_dim in shape for shape in shapes) > 1
