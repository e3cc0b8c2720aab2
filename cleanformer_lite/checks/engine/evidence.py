"""Read what was observed of a module, without trusting it."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.attention import Comparison
from cleanformer_lite.checks.engine.compare import close, paired, shown, shown_both, worst
from cleanformer_lite.checks.engine.layouts import Projections, mixed
from cleanformer_lite.checks.engine.projections import hypotheses
from cleanformer_lite.checks.engine.trials import (
    DROPOUT,
    LARGE,
    TRIALS,
    Call,
    Contract,
    calls,
    compared_calls,
)
from cleanformer_lite.checks.observations import CallOutcome, ModuleObservations, TrialOutcome
from cleanformer_lite.checks.report import Counterexample

BUILT = f"a module of embed_dim={LARGE.embed_dim}, num_heads={LARGE.num_heads}"


class UnreadableError(Exception):
    """An observation is missing or of the wrong kind; carries the counterexample to show."""

    def __init__(self, counterexample: Counterexample) -> None:
        super().__init__(counterexample.yours)
        self.counterexample = counterexample


@dataclass
class Evidence:
    """The observations of a module, and the inputs that the seed makes."""

    observed: ModuleObservations
    contract: Contract
    seed: int
    read: dict[tuple[str, str, str], Tensor] = field(default_factory=dict)

    @cached_property
    def calls(self) -> dict[str, dict[str, Call]]:
        return {label: calls(sizes, self.contract, self.seed) for label, sizes in TRIALS.items()}

    @cached_property
    def readings(self) -> list[Projections]:
        return hypotheses(self.observed, self.seed)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        return [self.compare(reading) for reading in self.readings]

    @cached_property
    def mixed_comparisons(self) -> list[Comparison]:
        """Comparisons by readings in which projections lay out heads in different ways."""
        whole = [reading for reading in self.readings if reading.is_whole]
        return [self.compare(reading) for reading in mixed(whole, LARGE)]

    def compare(self, reading: Projections) -> Comparison:
        """Prepare the comparison of every call by one reading."""
        compared = compared_calls(LARGE, self.contract, self.seed)
        return Comparison(reading, compared, self.observed.large, self.contract.weights)

    def trial(self, label: str) -> TrialOutcome:
        """Return the observations of the small or the large module."""
        return self.observed.small if label == "small" else self.observed.large

    def call(self, label: str, name: str) -> CallOutcome:
        """Return the outcome of a call; an empty one if it was not made."""
        return self.trial(label).call(name)

    def output(self, label: str, name: str) -> Tensor:
        """Return an output of the right shape.

        Raises: UnreadableError if there is none.
        """
        shape = tuple(self.calls[label][name].x.shape)
        return self._tensor(self.trial(label), label, name, "output", shape)

    def weights(self, label: str, name: str) -> Tensor:
        """Return weights of the right shape.

        Raises: UnreadableError if there are none.
        """
        batch, length, _ = self.calls[label][name].x.shape
        shape = (batch, TRIALS[label].num_heads, length, length)
        return self._tensor(self.trial(label), label, name, "weights", shape)

    def with_dropout(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return an output of the module that was built with dropout.

        Raises: UnreadableError if there is none of this shape.
        """
        return self._tensor(self.observed.dropout, "dropout", name, "output", shape)

    def _tensor(
        self, trial: TrialOutcome, label: str, name: str, part: str, shape: tuple[int, ...]
    ) -> Tensor:
        """Return one tensor of a call.

        Raises: UnreadableError, saying what came instead, if shape or kind is another.
        """
        if (label, name, part) in self.read:
            return self.read[label, name, part]
        outcome = trial.call(name)
        value = outcome.output if part == "output" else outcome.weights
        if isinstance(value, Tensor) and value.shape == shape and value.is_floating_point():
            self.read[label, name, part] = value.detach().to(torch.float32)
            return self.read[label, name, part]
        if isinstance(value, Tensor):
            yours = f"{part} of shape {tuple(value.shape)}, {value.dtype}"
        else:
            error = outcome.error or trial.build_error
            yours = f"no {part}" if error is None else error.text
        with_dropout = f"a module built with dropout={DROPOUT}"
        inputs = with_dropout if label == "dropout" else self.inputs(label, name)
        raise UnreadableError(Counterexample(inputs, yours, f"{part} of shape {shape}"))

    def inputs(self, label: str, name: str) -> str:
        """Write down a call so that it can be repeated."""
        sizes, call = TRIALS[label], self.calls[label][name]
        text = f"embed_dim={sizes.embed_dim}, num_heads={sizes.num_heads}, x={shown(call.x)}"
        if call.attn_mask is not None:
            text += f", attn_mask={shown(call.attn_mask)}"
        return text + (", is_causal=True" if call.is_causal else "")


def unequal(
    evidence: Evidence, label: str, name: str, yours: Tensor, target: Tensor, what: str
) -> Counterexample | None:
    """Show where two tensors differ: small ones whole, of large ones the worst number."""
    if close(yours, target):
        return None
    if yours.numel() > 16:
        gap = (yours - target).abs().nan_to_num(torch.inf)
        index = worst(gap)
        what = f"{what}{index}"
        yours, target = yours[tuple(index)], target[tuple(index)]
    inputs = evidence.inputs(label, name)
    if not yours.isnan().any() and target.isnan().any():
        what, yours = f"{what}, compared with another call's", target
    return Counterexample(inputs, *shown_both(yours, target), what, paired(yours, target))
