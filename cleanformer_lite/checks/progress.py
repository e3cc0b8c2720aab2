"""What a reader has solved so far, in one JSON file that can be carried elsewhere."""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cleanformer_lite.checks.report import STATUSES, Report

FILE = "cleanformer_lite_progress.json"


@dataclass
class Progress:
    """Points and hints by exercise; the best result counts, so trying again costs nothing.

    Raises: ValueError from `load`, naming the file, if it is damaged; the file is left as it is.
    """

    path: Path | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path = FILE) -> "Progress":
        """Read a progress file; one that is not there yet gives an empty progress."""
        path = Path(path)
        if not path.exists():
            return cls(path)
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            results = checked(stored)
        except (ValueError, OSError) as error:
            raise ValueError(
                f"wanted a progress file in {path}, got one that is damaged: {error}"
            ) from error
        return cls(path, results)

    def record(self, report: Report) -> None:
        """Keep a report if it is the best so far, count the try, and save if there is a path."""
        entry = self.results.setdefault(report.exercise, {"points": 0, "tries": 0, "status": ""})
        entry["tries"] += report.status != "missing"
        if report.points >= entry["points"]:
            entry.update(points=report.points, max_points=report.max_points, status=report.status)
        if self.path is not None:
            self.save()

    def merge(self, other: "Progress") -> None:
        """Take over whatever the other knows better; nothing gets lost."""
        for exercise, theirs in other.results.items():
            ours = self.results.get(exercise)
            if ours is None or theirs["points"] > ours["points"]:
                tries = ours["tries"] if ours else 0
                self.results[exercise] = {**theirs, "tries": max(tries, theirs["tries"])}
        if self.path is not None:
            self.save()

    def save(self, path: str | Path | None = None) -> Path:
        """Write the file in one step: a reader that stops half-way keeps the old one."""
        target = Path(path or self.path or FILE)
        text = json.dumps({"version": 1, "results": self.results}, indent=1, sort_keys=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, target)
        return target

    @property
    def points(self) -> int:
        return sum(entry["points"] for entry in self.results.values())


def checked(stored: Any) -> dict[str, dict[str, Any]]:
    """Return the results of a progress file.

    Raises: ValueError if they are not what `save` writes.
    """
    if not isinstance(stored, dict) or not isinstance(stored.get("results"), dict):
        raise ValueError("no results in it")
    for exercise, entry in stored["results"].items():
        numbers = isinstance(entry, dict) and all(
            isinstance(entry.get(key), int) and entry[key] >= 0 for key in ("points", "tries")
        )
        if not numbers or entry.get("status") not in ("", *STATUSES):
            raise ValueError(f"no result of {exercise} in it")
    results: dict[str, dict[str, Any]] = stored["results"]
    return results
