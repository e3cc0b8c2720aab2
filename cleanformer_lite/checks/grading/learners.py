"""Find the learner of each file: a folder, or a pattern's match in the file's path."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.result import Result
from cleanformer_lite.checks.grading.submissions import one_line

NAME = "{name}"


@dataclass
class Learner:
    """One learner: the files handed in, the best result of each exercise, the roster's columns.

    `listed` says whether the roster names this learner; without a roster it is True.
    """

    name: str
    files: list[str] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    roster: dict[str, str] = field(default_factory=dict)
    listed: bool = True

    @property
    def points(self) -> float:
        return round(sum(result.points for result in self.results.values()), 2)

    @property
    def max_points(self) -> int:
        return sum(result.max_points for result in self.results.values())

    def points_of(self, chapter: str) -> float:
        """Return the points of one chapter."""
        return round(
            sum(r.points for r in self.results.values() if r.exercise.split(".")[0] == chapter), 2
        )


def name_of(path: str, pattern: str | None = None) -> str:
    """Return the learner of a file, by its path within the course's folder.

    Without a pattern a learner is the first folder of the path, or the file itself if there is
    none. A pattern such as `{name}_*` is matched with the path, or, if it has no slash, with the
    file's name; `*` matches anything. A file that does not match is a learner of its own.
    """
    if pattern is None:
        return path.split("/")[0]
    against = path if "/" in pattern else path.rsplit("/", 1)[-1]
    found = _compiled(pattern).fullmatch(against)
    return found["name"] if found else path


def _compiled(pattern: str) -> re.Pattern[str]:
    """Turn a pattern into a regular expression, in which a name is short and holds no slash.

    Raises: ValueError if it does not name the learner exactly once.
    """
    if pattern.count(NAME) != 1:
        raise ValueError(f"wanted a pattern with one {NAME}, such as '{NAME}_*', got {pattern!r}")
    text = re.escape(pattern).replace(re.escape(NAME), "(?P<name>[^/]+?)")
    return re.compile(text.replace(r"\*", ".*"))


def check_pattern(pattern: str | None) -> None:
    """Raise ValueError if a pattern cannot be used."""
    if pattern is not None:
        _compiled(pattern)


def read_roster(path: Path) -> list[dict[str, str]]:
    """Read a CSV file of learners: the first column has the names that files carry.

    Raises: OSError if it cannot be read, ValueError if a name is missing, or occurs twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            entries = [
                {str(k): one_line(v or "").strip() for k, v in entry.items() if k}
                for entry in csv.DictReader(file)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"wanted a CSV file in UTF-8, got {path}: {error}") from error
    names = [next(iter(entry.values()), "") for entry in entries]
    if not names or not all(names):
        raise ValueError(f"wanted a name in the first column of every line of {path}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"wanted each learner once in {path}, got twice: {', '.join(twice[:5])}")
    return entries


def gather(
    results: Iterable[Result], roster: Sequence[dict[str, str]] | None, exercises: Sequence[str]
) -> list[Learner]:
    """Collect each learner's files and results; the best of several answers counts."""
    learners: dict[str, Learner] = {}
    for entry in roster or ():
        name = next(iter(entry.values()))
        learners[name] = Learner(name, roster=entry)
    for result in results:
        learner = learners.setdefault(
            result.learner, Learner(result.learner, listed=roster is None)
        )
        if result.submission not in learner.files:
            learner.files.append(result.submission)
        known = learner.results.get(result.exercise)
        if known is None or _rank(result) > _rank(known):
            learner.results[result.exercise] = result
    for learner in learners.values():
        for exercise in exercises:
            if exercise not in learner.results:
                points = EXERCISES[exercise].points
                learner.results[exercise] = Result(
                    exercise, "missing", 0, points, learner=learner.name
                )
        learner.results = {name: learner.results[name] for name in exercises}
    return sorted(learners.values(), key=lambda learner: learner.name)


def _rank(result: Result) -> tuple[float, bool]:
    """Rank answers to one exercise: by points, then any answer before none."""
    return result.points, result.status != "missing"
