"""Records of what an answer did, written by `observe` and read by `judge`."""

import dis
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor

from cleanformer_lite.checks.session import LONGEST_TEXT, TimeLimitReached, error_text

Made = TypeVar("Made")
MOST_ITEMS = 16
DEEPEST = 3
_BY_TORCH = " (raised by torch)"


@dataclass(frozen=True)
class Raised:
    """What an answer raised, as text; `is_stub` where it is a starter that nobody has filled in."""

    text: str
    is_stub: bool = False


@dataclass(frozen=True)
class Other:
    """A returned object, kept as the name of its class alone; None is one of these."""

    kind: str

    def __repr__(self) -> str:
        return "None" if self.is_none else f"an object of type {self.kind}"

    @property
    def is_none(self) -> bool:
        return self.kind == "NoneType"


@dataclass(frozen=True, eq=False)
class Listed:
    """A returned tuple or list: how long it was, and its first items."""

    length: int
    items: "tuple[Value, ...]"


@dataclass(frozen=True, eq=False)
class Named:
    """A returned dictionary: how long it was, and its first items, by their keys as text."""

    length: int
    items: "dict[str, Value]"


Value = Tensor | str | bool | int | float | Other | Listed | Named
# One for each parameter, in their order; None where there is none.
Tensors = tuple[Tensor | None, ...]


@dataclass(frozen=True, eq=False)
class CallOutcome:
    """What one call of a module did; `changed_input` is its argument, if the call changed that."""

    output: Value | None = None
    weights: Value | None = None
    changed_input: Value | None = None
    error: Raised | None = None


NOT_CALLED = CallOutcome()


@dataclass(frozen=True, eq=False)
class TrialOutcome:
    """The outcome of building a module in one size, and of each of its calls by name.

    `wrong_kind` is the class of what was built, where that is no module.
    """

    build_error: Raised | None = None
    wrong_kind: str | None = None
    calls: dict[str, CallOutcome] = field(default_factory=dict)

    def call(self, name: str) -> CallOutcome:
        """Return what a call did; nothing if it was not made."""
        return self.calls.get(name, NOT_CALLED)


@dataclass(frozen=True, eq=False)
class Registered:
    """The parameters that a module lists, and how many numbers they and `state_dict()` hold.

    A number is -1 where nothing was counted; so are those of `Graph`.
    """

    names: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    numbers: int = -1
    saved: int = -1


@dataclass(frozen=True, eq=False)
class Graph:
    """How many parameters a call uses, how many of them are unregistered, and how many are new."""

    used: int = -1
    unregistered: int = -1
    fresh: int = -1


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of each parameter, taken from several outputs.

    `one` of the output for one token; `quiet` of that without feature 1; `four` of the output for
    two times two tokens; `head` of the map of the first head; `blind` of the output where one query
    may attend to nothing.
    """

    one: Tensors = ()
    quiet: Tensors = ()
    four: Tensors = ()
    head: Tensors = ()
    blind: Tensors = ()


@dataclass(frozen=True, eq=False)
class ModuleObservations:
    """Everything observed of a module; an observation that raised keeps its default.

    `step` is by how much a training step changes each parameter; `cut` counts the matrices that
    change the output and get no gradient; `head_error` says why the map of a head has no gradients;
    `errors` holds what raised outside the calls.
    """

    small: TrialOutcome = field(default_factory=TrialOutcome)
    large: TrialOutcome = field(default_factory=TrialOutcome)
    dropout: TrialOutcome = field(default_factory=TrialOutcome)
    registered: Registered = field(default_factory=Registered)
    graph: Graph = field(default_factory=Graph)
    gradients: Gradients = field(default_factory=Gradients)
    step: Tensors = ()
    cut: int = 0
    head_error: Raised | None = None
    errors: tuple[Raised, ...] = ()


@dataclass(frozen=True, eq=False)
class CaseOutcome:
    """What a function did with one case's arguments: its result, and the arguments afterwards."""

    result: Value | None = None
    error: Raised | None = None
    after: dict[str, Value] = field(default_factory=dict)
    gradients: dict[str, Value] = field(default_factory=dict)
    gradient_error: Raised | None = None


@dataclass(frozen=True, eq=False)
class FunctionObservations:
    """What a function did with every case, by the case's name."""

    cases: dict[str, CaseOutcome] = field(default_factory=dict)


@dataclass(frozen=True)
class NoAnswer:
    """Nothing was handed in."""


@dataclass(frozen=True)
class WrongKind:
    """Something was handed in that cannot be tried: an object of this class."""

    kind: str


Observations = ModuleObservations | FunctionObservations | NoAnswer | WrongKind
# Every class of record, by name: observations consist of these, tensors, text and numbers alone.
RECORDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(Raised, Other, Listed, Named, CallOutcome, TrialOutcome, Registered, Graph, Gradients),
        *(ModuleObservations, CaseOutcome, FunctionObservations, NoAnswer, WrongKind),
    )
}


def recorded(value: object, depth: int = 0) -> Value:
    """Return a copy of what an answer returned, tuples, lists and dictionaries taken apart."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple | list) and depth < DEEPEST:
        items = tuple(recorded(item, depth + 1) for item in value[:MOST_ITEMS])
        return Listed(len(value), items)
    if isinstance(value, dict) and depth < DEEPEST:
        first = list(value.items())[:MOST_ITEMS]
        return Named(len(value), {str(name): recorded(item, depth + 1) for name, item in first})
    return Other(type(value).__name__[:LONGEST_TEXT])


def attempt(call: Callable[[], Made]) -> tuple[Made | None, Raised | None]:
    """Call, and return the result, or the error that it raised.

    SystemExit and GeneratorExit are caught too, so that no answer ends the reader's session. Only
    an interrupt by the reader and the time limit pass through.
    """
    try:
        return call(), None
    except (KeyboardInterrupt, TimeLimitReached):
        raise
    except BaseException as error:
        by_torch = _raised_by_torch(error)
        is_stub = type(error).__name__ == NotImplementedError.__name__ and not by_torch
        return None, Raised(error_text(error) + _BY_TORCH * by_torch, is_stub)


def _raised_by_torch(error: BaseException) -> bool:
    """Say whether an error of the kind that a starter raises comes from torch's own code."""
    frame = error.__traceback__ if isinstance(error, NotImplementedError) else None
    if frame is None:
        return False
    while frame.tb_next is not None:
        frame = frame.tb_next
    code = frame.tb_frame.f_code
    raises = code.co_code[frame.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    module = str(frame.tb_frame.f_globals.get("__name__", ""))
    return not raises or module.partition(".")[0] == "torch"


def texts(observed: Any) -> Iterator[str]:
    """List every text in an observation: names, errors, and what was returned as text."""
    if isinstance(observed, str):
        yield observed
    elif is_dataclass(observed):
        for each in fields(observed):
            yield from texts(getattr(observed, each.name))
    elif isinstance(observed, tuple | dict):
        for item in observed.values() if isinstance(observed, dict) else observed:
            yield from texts(item)
