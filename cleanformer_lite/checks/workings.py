"""Run behaviours on one reading of an answer's weights, and take each step that they share once."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from cleanformer_lite.checks.closeness import agree
from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.checks.probes import Call
from cleanformer_lite.checks.reading import Projections
from cleanformer_lite.checks.specimens import Attention

# A mistake replaces a step or two of the right attention: up to there it is all the others.
TO_PARTS = ("turn", "project", "split")
TO_WEIGHTS = (*TO_PARTS, "scale", "scores", "softmax")
OF_MASKS = ("causal", "allowed", "weigh")
TO_OUTPUT = ("drop", "mix", "merge", "out")


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
        steps = self.steps(behaviour, name, TO_WEIGHTS + TO_OUTPUT)
        return bool(self.once(("same", *steps), lambda: self.compared(behaviour, name)))

    def compared(self, behaviour: Attention, name: str) -> bool:
        """Run a behaviour as far as it takes to tell it from the answer."""
        raised = f"large.{name}.error" in self.facts
        try:
            weights = self.weights(behaviour, name)
            if not raised and self.has_weights and not self.same_weights(behaviour, name):
                return False
            output = behaviour.finish(weights, self.parts(behaviour, name)[2])
        except (RuntimeError, IndexError):
            return raised
        return not raised and agree(self.facts.get(f"large.{name}.output"), output)

    def same_weights(self, behaviour: Attention, name: str) -> bool:
        """Say whether a behaviour has in one call the weights that the answer had."""
        steps = self.steps(behaviour, name, TO_WEIGHTS)
        yours = self.facts.get(f"large.{name}.weights")
        return bool(
            self.once(("agree", *steps), lambda: agree(yours, self.weights(behaviour, name)))
        )

    def weights(self, behaviour: Attention, name: str) -> Tensor:
        """Return a behaviour's weights in one call.

        Raises: RuntimeError or IndexError where a mask does not fit what it makes.
        """
        call = self.calls[name]
        query, key, _ = self.parts(behaviour, name)
        found: Tensor = self.once(
            ("weights", *self.steps(behaviour, name, TO_WEIGHTS)),
            lambda: behaviour.share(behaviour.scores(query, key), call.attn_mask, call.is_causal),
        )
        return found

    def parts(self, behaviour: Attention, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return a behaviour's queries, keys and values in one call."""
        key = ("parts", name, *(getattr(type(behaviour), step) for step in TO_PARTS))
        found: tuple[Tensor, Tensor, Tensor] = self.once(
            key, lambda: behaviour.parts(self.calls[name].x)
        )
        return found

    def steps(self, behaviour: Attention, name: str, which: tuple[str, ...]) -> tuple[object, ...]:
        """Name what a result rests on; how masks are used counts only in calls that have one."""
        call = self.calls[name]
        masked = call.attn_mask is not None or call.is_causal
        taken = which + OF_MASKS if masked else which
        fill = behaviour.fill if masked else ""
        return (name, fill, *(getattr(type(behaviour), step) for step in taken))

    def once(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """Return what was made under a key, making it if it is the first time."""
        if key not in self.taken:
            self.taken[key] = make()
        return self.taken[key]
