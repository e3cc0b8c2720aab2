"""Draw pages for the teacher and each learner, in HTML without scripts, fonts or network."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from cleanformer_lite.checks import EXERCISES, SPECIES
from cleanformer_lite.checks.grading.grade import Course
from cleanformer_lite.checks.grading.learners import Learner
from cleanformer_lite.checks.grading.result import Result

# In the order in which a table names them.
STATUSES = ("passed", "failed", "missing", "timeout", "crashed", "memory", "refused", "unreadable")
LONGEST_SLUG = 60


@dataclass
class Met:
    """One known mistake, and the learners who made it.

    `surely` made it in at least one answer that fits nothing else, `possibly` only in answers that
    fit several mistakes.
    """

    species: str
    surely: set[str] = field(default_factory=set)
    candidates: set[str] = field(default_factory=set)
    exercises: set[str] = field(default_factory=set)

    @property
    def possibly(self) -> set[str]:
        return self.candidates - self.surely

    @property
    def cause(self) -> str:
        known = SPECIES.get(self.species)
        return known.cause if known else ""

    @property
    def thread(self) -> str:
        known = SPECIES.get(self.species)
        thread = (known.thread or "") if known else ""
        return thread if thread.startswith("https://") else ""

    def names(self) -> str:
        """Return the learners who made it, with a question mark after those who may have."""
        return ", ".join([*sorted(self.surely), *(f"{name}?" for name in sorted(self.possibly))])


def count(results: Sequence[Result]) -> list[Met]:
    """Count learners by mistake, the commonest first."""
    found: dict[str, Met] = {}
    for result in results:
        for name in result.species:
            met = found.setdefault(name, Met(name))
            (met.surely if len(result.species) == 1 else met.candidates).add(result.learner)
            met.exercises.add(result.exercise)
    return sorted(found.values(), key=lambda m: (-len(m.surely), -len(m.possibly), m.species))


def misconceptions_page(course: Course) -> str:
    """Draw the page of a course's mistakes: how many learners made each, who, and unnamed ones."""
    results = [result for learner in course.learners for result in learner.results.values()]
    handed_in = [learner for learner in course.learners if learner.files]
    statuses = {
        exercise: Counter(r.status for r in results if r.exercise == exercise)
        for exercise in course.exercises
    }
    unnamed = Counter(
        (r.exercise, r.failed[0])
        for r in results
        if r.status == "failed" and not r.species and r.failed
    )
    return _draw(
        "misconceptions.html",
        learners=len(handed_in),
        mets=count(results),
        exercises=statuses,
        statuses=STATUSES,
        unnamed=unnamed.most_common(),
        flagged=[result for result in results if result.flags],
        pages={learner.name: page_name(learner.name) for learner in course.learners},
        absent=[learner.name for learner in course.learners if not learner.files],
        unlisted=[learner.name for learner in course.learners if not learner.listed],
        skipped=course.skipped,
    )


def learner_page(learner: Learner) -> str:
    """Draw one learner's page: points by chapter, and the card of every answer."""
    chapters: dict[str, list[Result]] = defaultdict(list)
    for result in learner.results.values():
        chapters[result.exercise.split(".")[0]].append(result)
    return _draw("learner.html", learner=learner, chapters=chapters, exercises=EXERCISES)


def page_name(learner: str) -> str:
    """Return a unique file name for a learner's page that every system accepts."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", learner).strip("-")[:LONGEST_SLUG]
    if not slug or slug != learner or slug != slug.lower():  # some systems do not tell A from a
        slug += (
            "-" * bool(slug) + hashlib.sha256(learner.encode("utf-8", "replace")).hexdigest()[:8]
        )
    return f"{slug}.html"


def template(name: str, **values: object) -> str:
    """Fill a template that is not HTML, without escaping."""
    return _environment(False).get_template(name).render(**values)


def _draw(name: str, **values: object) -> str:
    return _environment(True).get_template(name).render(**values)


@cache
def _environment(autoescape: bool) -> Environment:
    loader = PackageLoader("cleanformer_lite.checks.grading")
    environment = Environment(
        loader=loader,
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda part, whole: f"{100 * part / max(1, whole):.0f} %"
    return environment


def texts(course: Course) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    yield "misconceptions.html", misconceptions_page(course)
    for learner in course.learners:
        yield f"learners/{page_name(learner.name)}", learner_page(learner)
