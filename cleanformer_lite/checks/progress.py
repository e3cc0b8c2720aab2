"""What a reader has solved so far, in one JSON file that can be carried elsewhere."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cleanformer_lite.checks.course import EXERCISES
from cleanformer_lite.checks.report import STATUSES, Report
from cleanformer_lite.files import write_file

FILE = "cleanformer_lite_progress.json"
NUMBERS = ("points", "max_points", "tries")
Results = dict[str, dict[str, Any]]


@dataclass
class Progress:
    """Points by exercise; the best result counts, so that trying again costs nothing.

    With a path, every result is saved at once, together with what another notebook has saved there
    in the meantime.
    """

    path: Path | None = None
    results: Results = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path = FILE) -> "Progress":
        """Read a progress file; one that is not there yet gives an empty progress.

        Raises: ValueError, naming the file, if it is damaged; the file is left as it is.
        """
        return cls(Path(path), read(Path(path)))

    def record(self, report: Report) -> None:
        """Keep a report if it is the best so far, count the try, and save if there is a path.

        Raises: ValueError if the file there is damaged; OSError if it cannot be written.
        """
        best = self.results.get(report.exercise, {"points": 0, "tries": 0})
        entry = dict(best) if report.points < best["points"] else {}
        entry.setdefault("points", report.points)
        entry.setdefault("max_points", report.max_points)
        entry.setdefault("status", report.status)
        entry["tries"] = best["tries"] + (report.status != "missing")
        if report.status != "missing":
            entry["mistake"] = report.mistake
        self.results[report.exercise] = entry
        if self.path is not None:
            self.save()

    def merge(self, other: "Progress") -> None:
        """Take over every result in which the other is better; nothing gets lost."""
        take(self.results, other.results)
        if self.path is not None:
            self.save()

    def save(self, path: str | Path | None = None) -> Path:
        """Write the file in one step, so that an interruption leaves the old one whole.

        Raises: ValueError if there is a damaged file already; OSError if it cannot be written.
        """
        target = Path(path or self.path or FILE)
        take(self.results, read(target))
        text = json.dumps({"version": 1, "results": self.results}, indent=1, sort_keys=True)
        write_file(target, text + "\n")
        return target

    def mistake(self, exercise: str) -> str:
        """Return the mistake that the last check of an exercise named; empty if it named none."""
        return str(self.results.get(exercise, {}).get("mistake", ""))

    @property
    def points(self) -> int:
        return sum(entry["points"] for entry in self.results.values())

    def __str__(self) -> str:
        lines = [
            f"{name}: {self.results.get(name, {'points': 0})['points']} of {exercise.points}"
            for name, exercise in EXERCISES.items()
        ]
        total = sum(exercise.points for exercise in EXERCISES.values())
        return "\n".join([*lines, f"all: {self.points} of {total} points"])


def take(ours: Results, theirs: Results) -> None:
    """Keep the better of two results for every exercise, and the larger number of tries."""
    for exercise, entry in theirs.items():
        known = ours.get(exercise)
        if known is None:
            ours[exercise] = dict(entry)
            continue
        better = entry if entry["points"] > known["points"] else known
        ours[exercise] = {**better, "tries": max(known["tries"], entry["tries"])}


def read(path: Path) -> Results:
    """Read the results in a file; none if there is no file.

    Raises: ValueError, naming the file, if `save` cannot have written it.
    """
    if not path.exists():
        return {}
    try:
        return checked(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(f"wanted a progress file, got {path}, damaged: {error}") from error


def checked(stored: Any) -> Results:
    """Return the results of a progress file.

    Raises: ValueError if `save` cannot have written them.
    """
    if not isinstance(stored, dict) or not isinstance(stored.get("results"), dict):
        raise ValueError("it holds no results")
    for exercise, entry in stored["results"].items():
        counted = isinstance(entry, dict) and all(
            type(entry.get(key)) is int and entry[key] >= 0 for key in NUMBERS
        )
        if not counted or entry.get("status") not in STATUSES:
            raise ValueError(f"the result of {exercise} is malformed")
    results: Results = stored["results"]
    return results
