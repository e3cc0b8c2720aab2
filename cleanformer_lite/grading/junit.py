"""Grades as JUnit XML, which build servers and code hosts draw as a table of tests."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import groupby

from cleanformer_lite.grading.verdict import Graded

NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
OUTCOMES = {"failed": "failure", "missing": "skipped"}


def as_xml(rows: Sequence[Graded]) -> str:
    """Write one suite for each submission, one case for each exercise.

    A wrong answer is a failure, a missing one is skipped, and all else that ends without points is
    an error.
    """
    suites = ET.Element("testsuites", name="cleanformer_lite")
    for submission, group in groupby(rows, key=lambda row: row.submission):
        cases = list(group)
        kinds = [OUTCOMES.get(row.status, "error") for row in cases if not row.passed]
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=clean(submission),
            tests=str(len(cases)),
            failures=str(kinds.count("failure")),
            errors=str(kinds.count("error")),
            skipped=str(kinds.count("skipped")),
        )
        for row in cases:
            add_case(suite, row)
    ET.indent(suites, " ")
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def add_case(suite: ET.Element, row: Graded) -> None:
    """Add one row to its suite."""
    case = ET.SubElement(
        suite,
        "testcase",
        classname=clean(row.submission),
        name=row.exercise,
        time=f"{row.cpu_seconds:.3f}",
    )
    if row.passed:
        return
    said = ", ".join((row.status, *row.species))
    element = ET.SubElement(case, OUTCOMES.get(row.status, "error"), message=clean(said))
    element.text = clean("\n".join(text for text in (*row.failed, row.message, *row.notes) if text))


def clean(text: str) -> str:
    """Drop the characters that XML cannot hold: a file's name may have any."""
    return NOT_XML.sub("?", text)
