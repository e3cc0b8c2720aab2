"""Exercises that ask for a module: tried on calls, gradients and a training step."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from cleanformer_lite.checks.engine import equality, parameters
from cleanformer_lite.checks.engine import properties as calls
from cleanformer_lite.checks.engine.compare import shown
from cleanformer_lite.checks.engine.diagnosis import diagnose
from cleanformer_lite.checks.engine.evidence import Evidence, UnreadableError
from cleanformer_lite.checks.engine.observe import observe_module
from cleanformer_lite.checks.engine.properties import Property
from cleanformer_lite.checks.engine.stages import first_wrong_stage
from cleanformer_lite.checks.engine.trials import Contract
from cleanformer_lite.checks.mistake import Mistake
from cleanformer_lite.checks.observations import (
    ModuleObservations,
    NoAnswer,
    Observations,
    Other,
    WrongKind,
)
from cleanformer_lite.checks.report import Counterexample, Report

ALWAYS: tuple[Property, ...] = (
    calls.output_shape,
    parameters.parameters_registered,
    calls.input_unchanged,
    calls.calls_agree,
    parameters.parameter_count,
    calls.batch_independence,
    calls.permutation_equivariance,
    calls.projections_are_linear,
    parameters.gradients_reach_all,
    parameters.every_weight_moves,
)
OF_WEIGHTS: tuple[Property, ...] = (
    calls.weights_shape,
    calls.rows_sum_to_one,
    calls.heads_differ,
    calls.every_head_sees_every_feature,
    parameters.heads_are_independent,
    equality.score_scale,
)
OF_MASKS: tuple[Property, ...] = (calls.masked_keys_get_nothing, calls.padding_invariance)
OF_ANY_MASKS: tuple[Property, ...] = (
    calls.causality,
    *OF_MASKS,
    calls.finite_on_blind_rows,
)
# These look at the large module alone, or at what it keeps: once is enough.
ASKED_ONCE: tuple[Property, ...] = (
    *(calls.heads_differ, calls.every_head_sees_every_feature),
    *(
        parameters.parameters_registered,
        parameters.parameter_count,
        parameters.heads_are_independent,
    ),
    *(parameters.gradients_reach_all, parameters.every_weight_moves),
    *(parameters.dropout_off_in_eval, parameters.dropout_on_in_training),
    *(equality.score_scale, equality.equal_to_torch, equality.dropout_falls_on_weights),
    calls.projections_are_linear,
)

FULL = Contract()
RUNS = "runs"


def properties_for(contract: Contract) -> dict[str, Property]:
    """List the properties that a contract asks for, in the order in which they are checked."""
    chosen = ALWAYS + (OF_WEIGHTS if contract.weights else ())
    of_masks = OF_ANY_MASKS if contract.any_masks else OF_MASKS
    chosen += of_masks if contract.masks else ()
    chosen += (calls.masks_combine,) if contract.causal and contract.masks else ()
    if contract.dropout:
        chosen += (parameters.dropout_off_in_eval, parameters.dropout_on_in_training)
    chosen += (equality.equal_to_torch,)
    chosen += (equality.dropout_falls_on_weights,) if contract.dropout else ()
    return {function.__name__: function for function in chosen}


@dataclass(frozen=True)
class ModuleProbe:
    """Ask a module for what its contract promises; `mistakes` are the ones that may be named."""

    mistakes: Mapping[str, Mistake] = field(default_factory=dict, repr=False)
    contract: Contract = FULL

    @property
    def properties(self) -> tuple[str, ...]:
        return ("runs", *properties_for(self.contract))

    def observe(self, answer: object, seed: int) -> Observations:
        if answer is None or answer is ...:
            return NoAnswer()
        if isinstance(answer, nn.Module) or not callable(answer):
            return WrongKind(type(answer).__name__)
        return observe_module(answer, self.contract, seed)

    def judge(self, observed: Observations, seed: int) -> Report:
        if isinstance(observed, NoAnswer):
            return Report(status="missing")
        if isinstance(observed, WrongKind):
            return _refused(f"wanted a class, got an object of type {shown(observed.kind)}")
        if not isinstance(observed, ModuleObservations):
            raise ValueError(f"wanted what a module does, got {type(observed).__name__}")
        early = unanswered(observed)
        if early is not None:
            return early
        evidence = Evidence(observed, self.contract, seed)
        found = failures(evidence)
        if not found:
            return Report(status="passed")
        crash = error_of(observed)
        failed = ("runs",) if crash else tuple(found)
        first = Counterexample(*crash) if crash else next(iter(found.values()))
        species = diagnose(evidence, tuple(found), self.mistakes)
        return Report(
            status="crashed" if crash else "failed",
            failed=failed,
            broken=sentences(failed),
            stage="" if crash or species else first_wrong_stage(evidence, failed),
            species=species,
            counterexample=first,
        )


def sentences(names: tuple[str, ...]) -> tuple[str, ...]:
    """Write each property as a sentence that is true of a right answer."""
    known = {RUNS: "It can be built and called."}
    known |= {name: holds.__doc__ or "" for name, holds in properties_for(FULL).items()}
    return tuple(known[name] for name in names)


def failures(evidence: Evidence) -> dict[str, Counterexample]:
    """Name the properties that fail, each with the smallest counterexample found.

    They stand in the order in which they are checked; before them the first that fails in the small
    trial, because a reader can follow that by hand.
    """
    found: dict[str, Counterexample] = {}
    small = ""
    for name, holds in properties_for(evidence.contract).items():
        for label in ("large",) if holds in ASKED_ONCE else ("small", "large"):
            try:
                counterexample = holds(evidence, label)
            except UnreadableError as unreadable:
                counterexample = unreadable.counterexample
            except Exception:  # forged observations may be wrong in any way
                yours = f"{name} cannot be compared"
                counterexample = Counterexample("", yours, "a module as the task describes it")
            if counterexample is not None:
                found[name] = counterexample
                small = small or (name if label == "small" else "")
                break
    return {small: found[small], **found} if small else found


def error_of(observed: ModuleObservations) -> tuple[str, str, str] | None:
    """Return input, error and target if the answer could not be built or called."""
    for label, trial in (("small", observed.small), ("large", observed.large)):
        called = trial.call("unmasked").error
        for error, doing in ((trial.build_error, "building it"), (called, "calling it")):
            if error is not None:
                return f"{doing}, {label} sizes", error.text, "no error"
    return None


def unanswered(observed: ModuleObservations) -> Report | None:
    """Report an empty answer, or one that is no module; None for any other."""
    small, called = observed.small, observed.small.call("unmasked")
    if small.wrong_kind is not None:
        return _refused(f"wanted a torch.nn.Module, got {shown(small.wrong_kind)}")
    if any(error is not None and error.is_stub for error in (small.build_error, called.error)):
        return Report(status="missing")
    is_none = isinstance(called.output, Other) and called.output.is_none
    return Report(status="missing") if is_none else None


def _refused(message: str) -> Report:
    return Report(status="failed", failed=("runs",), message=message)
