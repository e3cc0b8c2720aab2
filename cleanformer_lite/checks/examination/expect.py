"""Declare what an attention is meant to do, because behaviour alone cannot tell."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

MASKS = ("keep", "block", "add")
GROUPED = ("interleave", "tile")


@dataclass(frozen=True)
class Expect:
    """What an attention is meant to do; a None is found out, or reported as unknown.

    `causal`: no output may change when a later token does. `mask`: what True (or 1) says of a key:
    "keep" it, "block" it; "add" for a mask of numbers that are added to the scores. `batch_first`:
    inputs are `(N, L, E)` rather than `(L, N, E)`. `scaled`: scores are divided by the root of D.
    `output_projection`: the heads are mixed by a projection inside the module. `sliced`: a head
    reads only its slice of the input. `grouped`: fewer heads of keys than of queries are read in
    groups ("interleave", 0 0 1 1) or in turn ("tile", 0 1 0 1).

    Raises: ValueError for a `mask` or a `grouped` that is none of these.
    """

    causal: bool | None = None
    mask: str | None = None
    batch_first: bool | None = None
    scaled: bool | None = None
    output_projection: bool | None = None
    sliced: bool | None = None
    grouped: str | None = None

    def __post_init__(self) -> None:
        if self.mask is not None and self.mask not in MASKS:
            raise ValueError(f"mask must be one of {', '.join(MASKS)}, got {self.mask!r}")
        if self.grouped is not None and self.grouped not in GROUPED:
            raise ValueError(f"grouped must be one of {', '.join(GROUPED)}, got {self.grouped!r}")

    @classmethod
    def parse(cls, text: str) -> Expect:
        """Read what the command line says: `causal,mask=keep,scaled=no`.

        Raises: ValueError, naming the known words, for an unknown one.
        """
        meant: dict[str, Any] = {}
        names = [field.name for field in fields(cls)]
        for word in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = word.partition("=")
            name = name.replace("-", "_")
            if name not in names:
                raise ValueError(f"expected one of {', '.join(names)}, got {word!r}")
            meant[name] = value if name in ("mask", "grouped") else _truth(word, value)
        return cls(**meant)


def _truth(word: str, value: str) -> bool:
    """Read yes or no; a word alone means yes."""
    known = {
        "": True,
        "yes": True,
        "true": True,
        "1": True,
        "no": False,
        "false": False,
        "0": False,
    }
    if value.lower() not in known:
        raise ValueError(f"expected yes or no, got {word!r}")
    return known[value.lower()]
