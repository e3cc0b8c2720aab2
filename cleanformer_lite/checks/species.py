"""The known mistakes, by the name that the package gives them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Species:
    """One mistake that people really make: its cause in a line, what one sees, and how to get out.

    `thread` is the address of a public thread in which it happened, empty where none is cited.
    `hints` go from a nudge over the place to the fix.
    """

    id: str
    cause: str
    symptom: str
    hints: tuple[str, str, str]
    thread: str = ""


SPECIES: dict[str, Species] = {}
