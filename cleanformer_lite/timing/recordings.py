"""Times measured once on a named machine, kept in a file with their birth certificate."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from cleanformer_lite.timing.floor import Rates
from cleanformer_lite.timing.quartiles import Quartiles
from cleanformer_lite.timing.setting import Machine, name_device
from cleanformer_lite.timing.sweep import Row

FOLDER = Path(__file__).parent.parent / "recordings"
COLUMNS = [field.name for field in fields(Row)]
SPREADS = ("time", "ratio", "device_time")


@dataclass(frozen=True, kw_only=True)
class Birth(Machine):
    """The machine that numbers were measured on ("cuda" or "cpu"), and how they were made."""

    kind: str
    commit: str
    command: str

    def __str__(self) -> str:
        return f"{super().__str__()}, commit {self.commit}"


@dataclass(frozen=True)
class Recording:
    """Rows, the rates of the machine for each dtype, and their birth."""

    birth: Birth
    rates: dict[str, Rates]
    rows: list[Row]

    def save(self, path: Path) -> None:
        """Write the recording as JSON: whole, or not at all."""
        content = {
            "birth": asdict(self.birth),
            "rates": {name: asdict(rates) for name, rates in self.rates.items()},
            "columns": COLUMNS,
        }
        head = json.dumps(content, indent=1).removesuffix("\n}")
        rows = ",\n".join("  " + json.dumps(_as_list(row)) for row in self.rows)
        beside = path.with_suffix(".part")
        beside.write_text(f'{head},\n "rows": [\n{rows}\n ]\n}}\n', encoding="utf8")
        os.replace(beside, path)

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read a recording.

        Raises: FileNotFoundError; ValueError, saying where, if the file is not a recording.
        """
        try:
            content = json.loads(path.read_text(encoding="utf8"))
            if content["columns"] != COLUMNS:
                raise ValueError(f"wanted the columns {COLUMNS}, got {content['columns']}")
            rates = {name: Rates(**numbers) for name, numbers in content["rates"].items()}
            rows = [_as_row(cells) for cells in content["rows"]]
            return cls(Birth(**content["birth"]), rates, rows)
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


def _as_row(cells: Sequence[Any]) -> Row:
    given = dict(zip(COLUMNS, cells, strict=True))
    spreads = {k: None if given[k] is None else Quartiles(*given[k]) for k in SPREADS}
    return Row(**{**given, **spreads})
