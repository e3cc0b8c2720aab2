"""Run behaviours on one reading of an answer's weights, and take each step that they share once."""

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor

from cleanformer_lite.checks.attention import Attention
from cleanformer_lite.checks.closeness import agree
from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.probes import Call
from cleanformer_lite.checks.reading import Projections

# A mistake replaces a step or two of the right attention: up to there all mistakes are one.
TO_PARTS = ("turn", "project", "split")
TO_SCORES = (*TO_PARTS, "scale", "scores")
TO_WEIGHTS = (*TO_SCORES, "softmax")
TO_OUTPUT = (*TO_WEIGHTS, "drop", "mix", "merge", "out")
OF_MASKS = ("causal", "allowed", "weigh")


class Workings:
    """What behaviours give in the large trial's calls, with one set of projections."""

    def __init__(
        self, reading: Projections, calls: dict[str, Call], facts: Observations, has_weights: bool
    ) -> None:
        self.reading = reading
        self.calls = calls
        self.facts = facts
        self.has_weights = has_weights
        self.taken: dict[tuple[object, ...], Any] = {}

    def same(self, behaviour: Attention, name: str) -> bool:
        """Say whether a behaviour returns in one call what the answer returned, errors included."""
        return bool(
            self.once("same", behaviour, name, TO_OUTPUT, lambda: self.compared(behaviour, name))
        )

    def compared(self, behaviour: Attention, name: str) -> bool:
        """Run a behaviour as far as it takes to tell it from the answer."""
        raised = f"large.{name}.error" in self.facts
        try:
            if not raised and self.has_weights and not self.same_weights(behaviour, name):
                return False
            output = self.output(behaviour, name)
        except (RuntimeError, IndexError):
            return raised
        return not raised and agree(self.facts.get(f"large.{name}.output"), output)

    def same_weights(self, behaviour: Attention, name: str) -> bool:
        """Say whether a behaviour has in one call the weights that the answer had."""
        yours = self.facts.get(f"large.{name}.weights")
        return bool(
            self.once(
                *("same weights", behaviour, name, TO_WEIGHTS),
                lambda: agree(yours, self.weights(behaviour, name)),
            )
        )

    def output(self, behaviour: Attention, name: str) -> Tensor:
        """Return a behaviour's output in one call.

        Raises: RuntimeError or IndexError where a mask does not fit what it makes.
        """
        weights, value = self.weights(behaviour, name), self.parts(behaviour, name)[2]
        found: Tensor = self.once(
            "output", behaviour, name, TO_OUTPUT, lambda: behaviour.finish(weights, value)
        )
        return found

    def weights(self, behaviour: Attention, name: str) -> Tensor:
        """Return a behaviour's weights in one call.

        Raises: RuntimeError or IndexError where a mask does not fit what it makes.
        """
        call, (query, key, _) = self.calls[name], self.parts(behaviour, name)
        scores = self.once(
            "scores", behaviour, name, TO_SCORES, lambda: behaviour.scores(query, key)
        )
        found: Tensor = self.once(
            *("weights", behaviour, name, TO_WEIGHTS),
            lambda: behaviour.share(scores, call.attn_mask, call.is_causal),
        )
        return found

    def parts(self, behaviour: Attention, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return a behaviour's queries, keys and values in one call."""
        x = self.calls[name].x
        found: tuple[Tensor, Tensor, Tensor] = self.once(
            "parts", behaviour, name, TO_PARTS, lambda: behaviour.parts(x)
        )
        return found

    def once(
        self,
        what: str,
        behaviour: Attention,
        name: str,
        upto: tuple[str, ...],
        make: Callable[[], Any],
    ) -> Any:
        """Return what was made by the same steps in the same call, or make it the first time.

        How masks are used is among the steps only where they have been used.
        """
        call = self.calls[name]
        masked = call.attn_mask is not None or call.is_causal
        masked = masked and upto not in (TO_PARTS, TO_SCORES)
        fill = behaviour.fill if masked else ""
        kind: object = type(behaviour)
        key = (what, name, fill, steps(kind, upto, masked))
        if key not in self.taken:
            self.taken[key] = make()
        return self.taken[key]


@cache
def steps(kind: object, upto: tuple[str, ...], masked: bool) -> tuple[object, ...]:
    """Return the steps of a behaviour that a result rests on."""
    return tuple(getattr(kind, step) for step in (upto + OF_MASKS if masked else upto))
