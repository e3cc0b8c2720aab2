"""The right attention in steps, on given projections; every mistake replaces one or two of them."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.checks.engine.compare import matches
from cleanformer_lite.checks.engine.layouts import Projections
from cleanformer_lite.checks.engine.trials import Call
from cleanformer_lite.checks.observations import TrialOutcome


class Attention:
    """The right attention; mistakes inherit all steps but one or two from it.

    Shapes: x `(N, L, E)` -> output `(N, L, E)`, weights `(N, H, L, L)`.
    """

    # What a query that may attend to nothing gets: "zero", "nan", or the "mean" of everything.
    fill = "zero"
    # Whether the output projection is used, and which projections are one, as a reading says it.
    uses_out = True
    tied = ""
    # Whether what a call in evaluation mode returns is another than the right attention's.
    shows_in_values = True
    # Whether it takes `is_causal` to show a variant.
    needs_causal = False
    # Exercises in which a variant does nothing wrong.
    not_in: tuple[str, ...] = ()

    def __init__(self, projections: Projections, num_heads: int, dropout: float = 0.0) -> None:
        self.projections = projections
        self.num_heads = num_heads
        self.dropout = dropout
        self.training = False

    def __call__(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> tuple[Tensor, Tensor]:
        query, key, value = self.parts(x)
        weights = self.share(self.scores(query, key), attn_mask, is_causal)
        return self.around(self.finish(weights, value), x), weights

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.project(self.turn(x))
        return self.split(query), self.split(key), self.split(value)

    def share(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
        if attn_mask is None and not is_causal:
            return self.softmax(scores)
        return self.weigh(scores, self.allowed(scores, attn_mask, is_causal))

    def finish(self, weights: Tensor, value: Tensor) -> Tensor:
        return self.turn(self.out(self.merge(self.mix(self.drop(weights), value))))

    def turn(self, x: Tensor) -> Tensor:
        return x

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p = self.projections
        query = F.linear(x, p.query, p.query_bias)
        return query, F.linear(x, p.key, p.key_bias), F.linear(x, p.value, p.value_bias)

    def split(self, x: Tensor) -> Tensor:
        # (N, L, E) -> (N, L, H, D) -> (N, H, L, D)
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    def scale(self, query: Tensor) -> float:
        return 1.0 / math.sqrt(query.shape[-1])

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        return query @ key.transpose(-2, -1) * self.scale(query)

    def causal(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).tril()

    def allowed(self, scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor | None:
        if not is_causal:
            return attn_mask
        causal = self.causal(scores.shape[-1])
        return causal if attn_mask is None else attn_mask & causal

    def softmax(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores, dim=-1)

    def weigh(self, scores: Tensor, allowed: Tensor | None) -> Tensor:
        if allowed is None:
            return self.softmax(scores)
        low = -math.inf if self.fill == "nan" else torch.finfo(scores.dtype).min
        weights = self.softmax(scores.masked_fill(~allowed, low))
        return weights.masked_fill(~allowed, 0.0) if self.fill == "zero" else weights

    def drop(self, weights: Tensor) -> Tensor:
        return F.dropout(weights, self.dropout, self.training)

    def mix(self, weights: Tensor, value: Tensor) -> Tensor:
        return weights @ value

    def merge(self, x: Tensor) -> Tensor:
        # (N, H, L, D) -> (N, L, H, D) -> (N, L, E)
        return x.transpose(1, 2).flatten(2)

    def out(self, x: Tensor) -> Tensor:
        p = self.projections
        return x if p.out is None else F.linear(x, p.out, p.out_bias)

    def around(self, output: Tensor, x: Tensor) -> Tensor:
        return output


class AttentionModule(nn.Module):
    """Attention by four `torch.nn.Linear` layers and steps, right or wrong."""

    steps: type[Attention] = Attention

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        if self.steps.uses_out:
            self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> tuple[Tensor, Tensor]:
        attention = self.steps(self.projections(), self.num_heads, self.dropout)
        attention.training = self.training
        return attention(x, attn_mask, is_causal)

    def projections(self) -> Projections:
        """Return the parameters as they are now."""
        q, k, v, out = self.q_proj, self.k_proj, self.v_proj, getattr(self, "out_proj", None)
        out_weight, out_bias = (None, q.bias) if out is None else (out.weight, out.bias)
        return Projections(
            q.weight, k.weight, v.weight, out_weight, q.bias, k.bias, v.bias, out_bias
        )


def module_of(kind: type) -> type[nn.Module]:
    """Return a module class that does what a class of steps does; a module class stays itself."""
    if issubclass(kind, nn.Module):
        return kind
    return type(kind.__name__, (AttentionModule,), {"steps": kind})


def replaced_steps(kind: type) -> set[str]:
    """Name the steps in which a class differs from the right attention."""
    if not issubclass(kind, Attention):
        return set()
    names = (*TO_OUTPUT, *OF_MASKS, "fill")
    return {name for name in names if getattr(kind, name) is not getattr(Attention, name)}


# A mistake replaces a step or two of the right attention; before these all mistakes are the same.
TO_PARTS = ("turn", "project", "split")
TO_SCORES = (*TO_PARTS, "scale", "scores")
TO_WEIGHTS = (*TO_SCORES, "softmax")
TO_OUTPUT = (*TO_WEIGHTS, "drop", "mix", "merge", "out", "around")
OF_MASKS = ("causal", "allowed", "weigh")


class Comparison:
    """Behaviours run on the large trial's calls with one set of projections, beside the answer."""

    def __init__(
        self,
        reading: Projections,
        calls: dict[str, Call],
        trial: TrialOutcome,
        has_weights: bool,
    ) -> None:
        self.reading = reading
        self.calls = calls
        self.trial = trial
        self.has_weights = has_weights
        self.taken: dict[tuple[object, ...], Any] = {}

    def same(self, behaviour: Attention, name: str) -> bool:
        """Say whether a behaviour and the answer do the same in one call, errors included."""
        return bool(
            self.once("same", behaviour, name, TO_OUTPUT, lambda: self.compared(behaviour, name))
        )

    def compared(self, behaviour: Attention, name: str) -> bool:
        """Run a behaviour until it differs from the answer, or to the end."""
        outcome = self.trial.call(name)
        raised = outcome.error is not None
        try:
            if not raised and self.has_weights and not self.same_weights(behaviour, name):
                return False
            output = self.output(behaviour, name)
        except (RuntimeError, IndexError):
            return raised
        return not raised and matches(outcome.output, output)

    def same_weights(self, behaviour: Attention, name: str) -> bool:
        """Say whether a behaviour and the answer have the same weights in one call."""
        yours = self.trial.call(name).weights
        return bool(
            self.once(
                *("same weights", behaviour, name, TO_WEIGHTS),
                lambda: matches(yours, self.weights(behaviour, name)),
            )
        )

    def output(self, behaviour: Attention, name: str) -> Tensor:
        """Return a behaviour's output in one call.

        Raises: RuntimeError or IndexError if a mask does not fit the shape of its scores.
        """
        weights, value = self.weights(behaviour, name), self.parts(behaviour, name)[2]
        x = self.calls[name].x
        found: Tensor = self.once(
            *("output", behaviour, name, TO_OUTPUT),
            lambda: behaviour.around(behaviour.finish(weights, value), x),
        )
        return found

    def weights(self, behaviour: Attention, name: str) -> Tensor:
        """Return a behaviour's weights in one call.

        Raises: RuntimeError or IndexError if a mask does not fit the shape of its scores.
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
        """Compute a result once for the same steps and the same call, and keep it.

        The steps that use masks count only in calls with a mask.
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
    """Return the steps of a behaviour that a result depends on."""
    return tuple(getattr(kind, step) for step in (upto + OF_MASKS if masked else upto))
