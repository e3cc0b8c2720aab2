"""Times measured once on a named machine, kept in a file with where and how they were measured."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from cleanformer_lite.files import write_file
from cleanformer_lite.timing.paper import Rates
from cleanformer_lite.timing.sweep import Row
from cleanformer_lite.timing.units import Machine, Quartiles, name_device

FOLDER = Path(__file__).parent.parent / "recordings"
COLUMNS = [field.name for field in fields(Row)]
SPREADS = ("time", "ratio", "device_time")


@dataclass(frozen=True, kw_only=True)
class Birth(Machine):
    """The machine that numbers were measured on ("cuda" or "cpu"), and how they were made.

    Of a graphics card also its `capability`, its `clocks` in MHz where they could be read, and the
    `backends` that it had for attending.
    """

    kind: str
    commit: str
    command: str
    capability: str | None = None
    clocks: dict[str, int] | None = None
    backends: list[str] | None = None

    def __str__(self) -> str:
        card = "" if self.capability is None else f", compute capability {self.capability}"
        clock = "" if not self.clocks else f", at {self.clocks['clocks.sm']} MHz"
        return f"{super().__str__()}{card}{clock}, commit {self.commit}"


@dataclass(frozen=True)
class Recording:
    """Times, the rates of the machine for each dtype, and their birth."""

    birth: Birth
    rates: dict[str, Rates]
    times: list[Row]

    def save(self, path: Path) -> None:
        """Write the recording as JSON: whole, or not at all."""
        content = {
            "birth": asdict(self.birth),
            "rates": {name: asdict(rates) for name, rates in self.rates.items()},
            "columns": COLUMNS,
        }
        head = json.dumps(content, indent=1).removesuffix("\n}")
        times = ",\n".join("  " + json.dumps(_as_list(row)) for row in self.times)
        write_file(path, f'{head},\n "rows": [\n{times}\n ]\n}}\n')

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read a recording, of an older or a newer version too.

        A column that this version does not know is left out; one that the file lacks is None, if
        `Row` allows it.

        Raises: FileNotFoundError; ValueError, saying where, if the file is not a recording.
        """
        try:
            content = json.loads(path.read_text(encoding="utf8"))
            rates = {name: _pick(Rates, numbers) for name, numbers in content["rates"].items()}
            times = [_as_row(content["columns"], cells) for cells in content["rows"]]
            return cls(_pick(Birth, content["birth"]), rates, times)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"wanted a recording of times in {path}, got {error!r}") from error


def find_recording(kind: str, folder: Path = FOLDER) -> Recording | None:
    """Return the newest recording from a "cuda" or "cpu" machine, or None if there is none."""
    found = [Recording.load(path) for path in sorted(folder.glob("timing-*.json"))]
    return max(
        (one for one in found if one.birth.kind == kind),
        key=lambda one: one.birth.date,
        default=None,
    )


def file_for(device: torch.device | str, folder: Path = FOLDER) -> Path:
    """Name the file in which a device's recording is kept."""
    words = "".join(c if c.isalnum() else " " for c in name_device(torch.device(device)).lower())
    return folder / f"timing-{'-'.join(words.split())}.json"


def _as_list(row: Row) -> list[Any]:
    """Write a row as cells, numbers with four digits: the spread is wider than a fifth."""
    return [_rounded(getattr(row, name)) for name in COLUMNS]


def _rounded(cell: Any) -> Any:
    if isinstance(cell, Sequence) and not isinstance(cell, str):
        return [_rounded(part) for part in cell]
    return float(f"{cell:.4g}") if isinstance(cell, float) else cell


def _as_row(columns: Iterable[str], cells: Iterable[Any]) -> Row:
    given = dict(zip(columns, cells, strict=True))
    spreads = {k: Quartiles(*given[k]) for k in SPREADS if given.get(k) is not None}
    row: Row = _pick(Row, {**given, **spreads})
    return row


def _pick(kind: Any, given: Mapping[str, Any]) -> Any:
    """Make a dataclass of what it knows of, and leave out the rest.

    Raises: ValueError naming what it cannot do without.
    """
    known = {field.name: field for field in fields(kind)}
    missing = [
        name for name, field in known.items() if name not in given and field.default is MISSING
    ]
    if missing:
        raise ValueError(f"wanted {', '.join(missing)}, got {', '.join(given)}")
    return kind(**{name: given[name] for name in known if name in given})
