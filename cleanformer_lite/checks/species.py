"""The known mistakes, by the name that the package gives them."""

from dataclasses import dataclass

from cleanformer_lite.checks import (
    species_beyond,
    species_masks,
    species_shapes,
    species_weights,
)
from cleanformer_lite.checks.species_weights import Row


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


def species(row: Row) -> Species:
    """Make a species of a row of text; `owner/name#7` becomes the address of thread 7."""
    name, thread, cause, symptom, *hints = row
    nudge, place, fix = hints
    repository, _, number = thread.partition("#")
    address = f"https://github.com/{repository}/issues/{number}" if thread else ""
    return Species(name, cause, symptom, (nudge, place, fix), address)


SPECIES: dict[str, Species] = {
    row[0]: species(row)
    for text in (species_weights, species_shapes, species_masks, species_beyond)
    for row in text.ROWS
}

# Seen in public code, and not looked for here, with the reason.
LEFT_OUT = {
    "grouped_heads_tiled": (
        "no exercise has fewer key heads than query heads (seen in onnx/onnx#7274)"
    ),
}
