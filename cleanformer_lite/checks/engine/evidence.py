"""Read what was observed of a module, without trusting it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from cleanformer_lite.checks.engine.attention import Attention, Comparison
from cleanformer_lite.checks.engine.compare import close, matches, paired, shown, shown_both, worst
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

MOST_IN_A_ROW = 8
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
        """Comparisons by every reading, the likeliest first.

        Before them stand those in which heads are arranged otherwise, if only so the answer is the
        right attention where no mask is given.
        """
        own = [self.compare(reading) for reading in self.readings]
        if any(right_without_masks(comparison) for comparison in own):
            return own
        others = map(self.compare, self.arrangements(own))
        return [*(one for one in others if right_without_masks(one)), *own]

    def arrangements(self, own: list[Comparison]) -> Iterator[Projections]:
        """Read some projections strided and others not, and heads merged in another order."""
        whole = [comparison for comparison in own if comparison.reading.is_whole]
        yield from mixed([comparison.reading for comparison in whole], LARGE)
        for comparison in whole:
            yield from merged_in_another_order(comparison)

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


def right_without_masks(comparison: Comparison) -> bool:
    """Say whether the right attention does the same as the answer where no mask is given."""
    right = Attention(comparison.reading, LARGE.num_heads)
    return comparison.reading.is_whole and comparison.same(right, "unmasked")


def merged_in_another_order(comparison: Comparison) -> Iterator[Projections]:
    """Find the order in which heads stand side by side, and arrange the output matrix by it.

    Whose head comes first is an answer's own affair: the columns of its output matrix follow.
    """
    reading, outcome = comparison.reading, comparison.trial.call("unmasked")
    right = Attention(reading, LARGE.num_heads)
    if reading.out is None or (
        comparison.has_weights and not comparison.same_weights(right, "unmasked")
    ):
        return
    heads = comparison.weights(right, "unmasked") @ comparison.parts(right, "unmasked")[2]
    columns = torch.arange(LARGE.embed_dim).view(LARGE.num_heads, -1)
    for order in itertools.permutations(range(LARGE.num_heads)):
        if matches(outcome.output, right.out(right.merge(heads[:, order]))):
            place = [order.index(head) for head in range(LARGE.num_heads)]
            yield replace(reading, out=reading.out[:, columns[place].flatten()])


def unequal(
    evidence: Evidence, label: str, name: str, yours: Tensor, target: Tensor, what: str
) -> Counterexample | None:
    """Compare, and show the whole of small tensors, of large ones the worst row or number."""
    if close(yours, target):
        return None
    if yours.numel() > 16:
        gap = (yours - target).abs().nan_to_num(torch.inf)
        index = worst(gap)
        if 1 < yours.shape[-1] <= MOST_IN_A_ROW:  # what one query gives its keys
            index = index[:-1]
        what = f"{what}{index}"
        yours, target = yours[tuple(index)], target[tuple(index)]
    inputs = evidence.inputs(label, name)
    if not yours.isnan().any() and target.isnan().any():
        what, yours = f"{what}, compared with another call's", target
    return Counterexample(inputs, *shown_both(yours, target), what, paired(yours, target))
