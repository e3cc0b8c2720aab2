"""Write what a course needs from a graded folder: tables, and files that other tools read."""

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cleanformer_lite import __version__
from cleanformer_lite.grading import junit
from cleanformer_lite.grading.confine import describe
from cleanformer_lite.grading.misconceptions import count, page
from cleanformer_lite.grading.verdict import Graded

COLUMNS = ("submission", "exercise", "points", "max_points", "status", "species")
FORMULA = re.compile(r"^[=+\-@\t\r]")


def write_all(out: Path, rows: Sequence[Graded]) -> list[Path]:
    """Write every file into `out`, each in one step; returns their paths."""
    everything = {
        "package": f"cleanformer_lite {__version__}",
        "isolation": describe(),
        "grades": [row.as_dict() for row in rows],
    }
    texts = {
        "grades.csv": as_csv(COLUMNS, (grade_cells(row) for row in rows)),
        "grades.json": as_json(everything),
        "junit.xml": junit.as_xml(rows),
        "results.json": as_json(gradescope(rows)),
        "misconceptions.csv": as_csv(
            ("species", "learners", "possibly", "exercises", "submissions"),
            (met.cells() for met in count(rows)),
        ),
        "misconceptions.html": page(rows),
    }
    return [write(out / name, text) for name, text in texts.items()]


def grade_cells(row: Graded) -> list[object]:
    """Return one line of grades.csv."""
    species = " ".join(row.species)
    return [row.submission, row.exercise, row.points, row.max_points, row.status, species]


def as_csv(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Write a table. Learners name their files: no cell may become a formula in a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow(
            f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell for cell in line
        )
    return stream.getvalue()


def as_json(value: object) -> str:
    """Write a value as JSON that people can read."""
    return json.dumps(value, indent=1) + "\n"


def gradescope(rows: Sequence[Graded]) -> dict[str, Any]:
    """Return what Gradescope reads: it hands one learner's folder over at a time.

    Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
    """
    several = len({row.submission for row in rows}) > 1
    tests = [
        {
            "name": f"{row.submission}: {row.exercise}" if several else row.exercise,
            "score": row.points,
            "max_score": row.max_points,
            "status": "passed" if row.passed else "failed",
            "output": explained(row),
            "output_format": "text",
        }
        for row in rows
    ]
    return {"score": sum(row.points for row in rows), "tests": tests}


def explained(row: Graded) -> str:
    """Say in a few lines what came of one answer."""
    lines = [row.status]
    if row.species:
        lines.append(f"known mistake: {' or '.join(row.species)}")
    if row.failed:
        lines.append(f"fails: {', '.join(row.failed)}")
    lines += [text for text in (row.message, *row.notes) if text]
    return "\n".join(lines)


def write(path: Path, text: str) -> Path:
    """Write a file in one step: whoever reads it finds the old one or the new one, whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path
