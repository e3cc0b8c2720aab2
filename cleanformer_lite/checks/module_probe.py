"""Exercises that ask for a module: tried on calls, gradients and a training step."""

from dataclasses import dataclass

from torch import nn

from cleanformer_lite.checks import properties as calls
from cleanformer_lite.checks import properties_reference as reference
from cleanformer_lite.checks import properties_weights as weights
from cleanformer_lite.checks.diagnosis import diagnose
from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.facts import shown
from cleanformer_lite.checks.modules import observe_module
from cleanformer_lite.checks.probes import Contract
from cleanformer_lite.checks.properties import Property
from cleanformer_lite.checks.report import Counterexample, Verdict
from cleanformer_lite.checks.view import UnreadableError, View

ALWAYS: tuple[Property, ...] = (
    calls.output_shape,
    weights.parameters_registered,
    calls.input_unchanged,
    calls.calls_agree,
    weights.parameter_count,
    calls.batch_independence,
    calls.permutation_equivariance,
    weights.gradients_reach_all,
    weights.every_weight_moves,
)
OF_WEIGHTS: tuple[Property, ...] = (
    calls.weights_shape,
    calls.rows_sum_to_one,
    calls.heads_differ,
    calls.every_head_sees_every_feature,
    weights.heads_are_independent,
    reference.score_scale,
)
OF_MASKS: tuple[Property, ...] = (
    calls.causality,
    calls.masked_keys_get_nothing,
    calls.padding_invariance,
    calls.finite_on_blind_rows,
)
# These look at the large module alone, or at what it keeps: once is enough.
ASKED_ONCE: tuple[Property, ...] = (
    *(calls.heads_differ, calls.every_head_sees_every_feature),
    *(weights.parameters_registered, weights.parameter_count, weights.heads_are_independent),
    *(weights.gradients_reach_all, weights.every_weight_moves),
    *(weights.dropout_off_in_eval, weights.dropout_on_in_training),
    *(reference.score_scale, reference.equal_to_torch),
)

FULL = Contract()


def properties_for(contract: Contract) -> dict[str, Property]:
    """List what is asked of a module, in the order in which it is checked."""
    chosen = ALWAYS + (OF_WEIGHTS if contract.weights else ())
    chosen += OF_MASKS if contract.masks else ()
    chosen += (calls.masks_combine,) if contract.causal and contract.masks else ()
    if contract.dropout:
        chosen += (weights.dropout_off_in_eval, weights.dropout_on_in_training)
    chosen += (reference.equal_to_torch,)
    return {function.__name__: function for function in chosen}


@dataclass(frozen=True)
class ModuleProbe:
    """Asks of a module what its contract promises."""

    contract: Contract = FULL

    @property
    def properties(self) -> tuple[str, ...]:
        return ("runs", *properties_for(self.contract))

    def observe(self, answer: object, seed: int) -> Observations:
        if answer is None or answer is ...:
            return {"missing": True}
        if isinstance(answer, nn.Module) or not callable(answer):
            return {"kind": type(answer).__name__}
        return observe_module(answer, self.contract, seed)

    def judge(self, facts: Observations, seed: int) -> Verdict:
        early = unanswered(facts)
        if early is not None:
            return early
        view = View(facts, self.contract, seed)
        found = failures(view)
        if not found:
            return Verdict("passed")
        crash = error_of(facts)
        failed = ("runs",) if crash else tuple(found)
        first = Counterexample(*crash) if crash else next(iter(found.values()))
        species = diagnose(view, tuple(found))
        return Verdict("crashed" if crash else "failed", failed, species, first)


def failures(view: View) -> dict[str, Counterexample]:
    """Name the properties that fail, each with the smallest counterexample found."""
    found: dict[str, Counterexample] = {}
    for name, holds in properties_for(view.contract).items():
        for label in ("large",) if holds in ASKED_ONCE else ("small", "large"):
            try:
                counterexample = holds(view, label)
            except UnreadableError as unreadable:
                counterexample = unreadable.counterexample
            except Exception:  # forged facts may be wrong in any way
                counterexample = Counterexample("", "facts that make no sense", "")
            if counterexample is not None:
                found[name] = counterexample
                break
    return found


def error_of(facts: Observations) -> tuple[str, str, str] | None:
    """Return input, error and target if the answer could not even be built or called."""
    for label in ("small", "large"):
        for key, doing in ((f"{label}.build", "building it"), (f"{label}.plain", "calling it")):
            if f"{key}.error" in facts:
                return f"{doing}, {label} sizes", str(facts[f"{key}.error"]), "no error"
    return None


def unanswered(facts: Observations) -> Verdict | None:
    """Tell an empty answer, and one of another kind, from a wrong one."""
    if facts.get("missing") is True:
        return Verdict("missing")
    if "kind" in facts:
        message = f"wanted a class, got an object of type {shown(facts['kind'])}"
        return Verdict("failed", ("runs",), message=message)
    if "small.build.kind" in facts and "small.build.error" not in facts:
        message = f"wanted a torch.nn.Module, got {shown(facts['small.build.kind'])}"
        return Verdict("failed", ("runs",), message=message)
    for key in ("small.build.error", "small.plain.error"):
        error = facts.get(key)
        if isinstance(error, str) and error.startswith("NotImplementedError"):
            return Verdict("missing")
    return Verdict("missing") if facts.get("small.plain.output.none") is True else None
