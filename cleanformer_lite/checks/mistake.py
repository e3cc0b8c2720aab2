"""A mistake is one class, with its cause, symptom, thread and hints beside its code."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Answer = Callable[..., Any]
Forms = dict[str, tuple[Answer, ...]]
Kind = TypeVar("Kind", bound=type)


@dataclass
class Mistake:
    """One mistake that people really make: its cause, its symptom, and hints that lead out of it.

    `thread` is the address of a public thread in which it happened, empty where none is cited;
    `hints` go from a nudge over the place to the fix. `classes` are its variants: each replaces
    steps of the right attention, or is a module. `forms` are wrong answers by exercise.

    `tells` recognises a mistake that values cannot show. It is asked only if `explains` lists every
    property that fails (None lists all), and, with `tells_last`, only if no mistake has the same
    values. `needs` is "masks" or "causal" where a module without them cannot show the mistake.
    `may_differ` names the calls in which code with this mistake may do one thing or another,
    `not_in` the exercises in which another mistake does the same.
    """

    id: str
    cause: str
    symptom: str
    hints: tuple[str, str, str]
    thread: str = ""
    needs: str = ""
    may_differ: tuple[str, ...] = ()
    not_in: tuple[str, ...] = ()
    tells: Callable[[Any, tuple[str, ...]], bool] | None = None
    explains: frozenset[str] | None = None
    tells_last: bool = False
    classes: list[type] = field(default_factory=list)
    forms: Forms = field(default_factory=dict)

    @property
    def in_modules(self) -> bool:
        """Whether a split module can show it: by its values, or by what `tells` looks at."""
        if any(getattr(kind, "shown_by_examine", False) for kind in self.classes):
            return False  # it takes fewer key heads, or no softmax
        steps = any(hasattr(kind, "mix") for kind in self.classes)
        by_values = any(getattr(kind, "shows_in_values", False) for kind in self.classes)
        modules = any(hasattr(kind, "forward") for kind in self.classes)
        return modules or by_values or (steps and self.tells is not None)

    def add(self, kind: type) -> None:
        """Add a class as a variant, with the forms that it lists."""
        self.classes.append(kind)
        for exercise, answers in vars(kind).get("forms", {}).items():
            self.forms[exercise] = self.forms.get(exercise, ()) + tuple(answers)


MISTAKES: dict[str, Mistake] = {}


def mistake(
    *, cause: str, symptom: str, hints: tuple[str, str, str], thread: str = "", **options: Any
) -> Callable[[Kind], Kind]:
    """Enter a class in MISTAKES, under its name in snake case.

    `thread` is written `owner/name#7`; `options` are the other fields of `Mistake`.
    """

    def enter(kind: Kind) -> Kind:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        if name in MISTAKES:
            raise ValueError(f"wanted a new name, got {name}, which is a mistake already")
        repository, _, number = thread.partition("#")
        address = f"https://github.com/{repository}/issues/{number}" if thread else ""
        MISTAKES[name] = Mistake(name, cause, symptom, hints, address, **options)
        MISTAKES[name].add(kind)
        return kind

    return enter


def variant_of(first: type) -> Callable[[Kind], Kind]:
    """Enter a class as another variant of a mistake, given by its first class."""
    (found,) = (known for known in MISTAKES.values() if known.classes[0] is first)

    def enter(kind: Kind) -> Kind:
        found.add(kind)
        return kind

    return enter
