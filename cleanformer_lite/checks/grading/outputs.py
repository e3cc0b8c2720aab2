"""Write the tables of a graded folder, and the files that other tools read."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cleanformer_lite import __version__
from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.grade import Course, bring_together
from cleanformer_lite.checks.grading.learners import Learner
from cleanformer_lite.checks.grading.pages import count, texts
from cleanformer_lite.checks.grading.result import Result
from cleanformer_lite.checks.grading.sandbox import Sandbox
from cleanformer_lite.files import write_file

COLUMNS = ("submission", "exercise", "points", "max_points", "status", "species")
MORE_COLUMNS = ("learner", "card", "notes", "flags")
FORMULA = re.compile(r"^(?=[=+\-@\t\r])", re.MULTILINE)
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
OUTCOMES = {"failed": "failure", "missing": "skipped"}
GRADE = "cleanformer_lite"  # the name of the grade in a course system
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("Username", "ID number", "Email address")

Line = Sequence[object]


def write_all(out: Path, course: Course, sandbox: Sandbox) -> list[Path]:
    """Write every file into `out`, each in one step; returns their paths.

    Raises: OSError if one cannot be written; it is then as it was before.
    """
    (out / "learners").mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in _texts(course, sandbox):
        written.append(write_file(out / name, text))
        written[-1].chmod(0o644)
    return written


def _texts(course: Course, sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    """Yield each file's name and text."""
    results = [result for learner in course.learners for result in learner.results.values()]
    cells = (_cells(result) for result in results)
    yield "grades.csv", as_csv((*COLUMNS, *MORE_COLUMNS), cells)
    yield "grades.json", as_json(_everything(course, sandbox))
    yield "learners.csv", as_csv(*_learners_table(course))
    yield "junit.xml", junit(course.learners)
    yield "results.json", as_json(gradescope(course.learners))
    yield "canvas.csv", as_csv(*_canvas(course.learners))
    yield "moodle.csv", as_csv(*_moodle(course.learners))
    yield "skipped.csv", as_csv(("file", "why"), course.skipped)
    columns = ("species", "learners", "share", "possibly", "exercises", "who")
    handed_in = max(1, sum(bool(learner.files) for learner in course.learners))
    lines = (
        (
            *(met.species, len(met.surely), round(len(met.surely) / handed_in, 3)),
            *(len(met.possibly), " ".join(sorted(met.exercises)), met.names()),
        )
        for met in count(results)
    )
    yield "misconceptions.csv", as_csv(columns, lines)
    yield from texts(course)


def _cells(result: Result) -> Line:
    """Return one line of grades.csv."""
    first = (result.submission, result.exercise, result.points, result.max_points, result.status)
    notes, flags = "\n".join(result.notes), "\n".join(result.flags)
    return (*first, " ".join(result.species), result.learner, result.card, notes, flags)


def as_csv(columns: Sequence[str], lines: Iterable[Line]) -> str:
    """Write a table in which no line of a cell becomes a formula, because learners choose names."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for line in (columns, *lines):
        writer.writerow(FORMULA.sub("'", c) if isinstance(c, str) else c for c in line)
    return stream.getvalue()


def as_json(value: object) -> str:
    """Write a value as JSON that people can read."""
    return json.dumps(value, indent=1) + "\n"


def _everything(course: Course, sandbox: Sandbox) -> dict[str, Any]:
    """Return everything, for other programs and for `merge`."""
    return {
        "package": f"cleanformer_lite {__version__}",
        "isolation": str(sandbox),
        "what stays open": sandbox.open_ways(),
        "exercises": course.exercises,
        "learners": [
            {
                "learner": learner.name,
                "files": learner.files,
                "points": learner.points,
                "max_points": learner.max_points,
                "listed": learner.listed,
                "roster": learner.roster,
            }
            for learner in course.learners
        ],
        "skipped": course.skipped,
        "grades": [result.as_dict() for result in course.results],
    }


def read_course(folders: Sequence[Path]) -> Course:
    """Join the results of several runs of `grade`, each in its own folder.

    Raises: OSError if a grades.json is not there, ValueError if it is none, or if the runs graded
        other exercises.
    """
    results: list[Result] = []
    roster: list[dict[str, str]] = []
    skipped: set[tuple[str, str]] = set()
    exercises: list[str] = []
    for folder in folders:
        path = folder / "grades.json"
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            results += [Result.from_dict(entry) for entry in stored["grades"]]
            roster += [entry["roster"] for entry in stored["learners"] if entry["roster"]]
            skipped |= {(name, why) for name, why in stored["skipped"]}
            graded = list(stored["exercises"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"wanted a grades.json of this version, got {path}: {error}") from None
        if exercises and graded != exercises:
            raise ValueError(f"wanted runs with the same exercises, but {folder} has others")
        exercises = graded
    return bring_together(results, roster or None, exercises, sorted(skipped))


def _chapters(exercises: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.split(".")[0] for name in exercises))


def _learners_table(course: Course) -> tuple[list[str], list[Line]]:
    """Write a line for each learner: the roster's columns, points by chapter, total points."""
    chapters = _chapters(course.exercises)
    more = list(
        dict.fromkeys(key for learner in course.learners for key in list(learner.roster)[1:])
    )
    columns = ["learner", *more, *chapters, "points", "max_points", "files", "on the roster"]
    lines: list[Line] = [
        (
            *(learner.name, *(learner.roster.get(key, "") for key in more)),
            *(learner.points_of(chapter) for chapter in chapters),
            *(learner.points, learner.max_points, len(learner.files)),
            "yes" if learner.listed else "no",
        )
        for learner in course.learners
    ]
    return columns, lines


def _grade_of(learner: Learner) -> object:
    """Return the grade to enter; empty for a learner who handed in nothing."""
    return learner.points if learner.files else ""


def _canvas(learners: Sequence[Learner]) -> tuple[list[str], list[Line]]:
    """Write the table that Canvas imports, with its own columns from the roster, if any.

    Source: https://community.canvaslms.com, "How do I import grades in the Gradebook?"
    """
    possible = max((learner.max_points for learner in learners), default=0)
    lines: list[Line] = [("    Points Possible", "", "", "", "", possible)]
    for learner in learners:
        told = {"Student": learner.name, **learner.roster}
        lines.append((*(told.get(column, "") for column in CANVAS), _grade_of(learner)))
    return [*CANVAS, GRADE], lines


def _moodle(learners: Sequence[Learner]) -> tuple[list[str], list[Line]]:
    """Write the table that Moodle imports; the columns that identify people come from the roster.

    Source: https://docs.moodle.org, "Grade import"
    """
    there = [c for c in MOODLE if any(c in learner.roster for learner in learners)]
    columns = there or ["Username"]
    lines: list[Line] = [
        (
            *(learner.roster.get(c, learner.name if not there else "") for c in columns),
            *(_grade_of(learner), _feedback(learner)),
        )
        for learner in learners
    ]
    return [*columns, GRADE, f"{GRADE} feedback"], lines


def _feedback(learner: Learner) -> str:
    """Write the points of each chapter on one line."""
    chapters: dict[str, int] = {}
    for result in learner.results.values():
        chapter = result.exercise.split(".")[0]
        chapters[chapter] = chapters.get(chapter, 0) + result.max_points
    return "; ".join(
        f"{name}: {learner.points_of(name):g} of {whole}" for name, whole in chapters.items()
    )


def gradescope(learners: Sequence[Learner]) -> dict[str, Any]:
    """Return the results as Gradescope reads them, for one learner's folder at a time.

    Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
    """
    several = len(learners) > 1
    tests = [
        {
            "name": f"{learner.name}: {result.exercise}" if several else result.exercise,
            "score": result.points,
            "max_score": result.max_points,
            "status": "passed" if result.passed else "failed",
            "output": "\n".join((result.card or result.status, *result.notes)),
            "output_format": "text",
            "tags": [result.exercise.split(".")[0]],
        }
        for learner in learners
        for result in learner.results.values()
    ]
    score = round(sum(learner.points for learner in learners), 2)
    nothing = "" if any(learner.files for learner in learners) else "Nothing was handed in."
    return {"score": score, "output": nothing, "tests": tests}


def junit(learners: Sequence[Learner]) -> str:
    """Write one suite for each learner, one case for each exercise, as build servers read them.

    A wrong answer is a failure, a missing one is skipped, and any other without points is an error.
    """
    suites = ET.Element("testsuites", name="cleanformer_lite")
    for learner in learners:
        cases = learner.results.values()
        kinds = [OUTCOMES.get(r.status, "error") for r in cases if not r.passed]
        counted: Mapping[str, int] = {
            "tests": len(cases),
            "failures": kinds.count("failure"),
            "errors": kinds.count("error"),
            "skipped": kinds.count("skipped"),
        }
        attributes = {name: str(number) for name, number in counted.items()}
        suite = ET.SubElement(suites, "testsuite", {"name": _xml(learner.name), **attributes})
        for result in cases:
            _add_case(suite, result)
    ET.indent(suites, " ")
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, result: Result) -> None:
    """Add one result to its suite."""
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_xml(result.learner),
        name=result.exercise,
        time=f"{result.cpu_seconds:.3f}",
    )
    if result.passed:
        return
    told = ", ".join((result.status, *result.species))
    element = ET.SubElement(case, OUTCOMES.get(result.status, "error"), message=_xml(told))
    element.text = _xml("\n".join(text for text in (result.card, *result.notes) if text))


def _xml(text: str) -> str:
    """Drop the characters that XML cannot hold."""
    return NOT_XML.sub("?", text)


def nothing_handed_in(exercises: Sequence[str], reason: str) -> dict[str, Any]:
    """Return the results as Gradescope reads them if there was nothing to grade."""
    tests = [
        {"name": name, "score": 0, "max_score": EXERCISES[name].points, "status": "failed"}
        for name in exercises
    ]
    return {"score": 0, "output": reason, "tests": tests}
