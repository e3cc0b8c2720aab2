"""What a course gets wrong: how many learners met which known mistake, as a table and as a page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from cleanformer_lite.checks import SPECIES
from cleanformer_lite.checks.report import STATUSES
from cleanformer_lite.grading.verdict import Graded


@dataclass
class Met:
    """One known mistake, and the submissions that made it.

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

    def cells(self) -> list[object]:
        """Return one line of misconceptions.csv."""
        who = " ".join(sorted(self.surely)) + "".join(f" {name}?" for name in sorted(self.possibly))
        exercises = " ".join(sorted(self.exercises))
        return [self.species, len(self.surely), len(self.possibly), exercises, who.strip()]


def count(rows: Sequence[Graded]) -> list[Met]:
    """Count learners by mistake, the commonest first."""
    found: dict[str, Met] = {}
    for row in rows:
        for name in row.species:
            met = found.setdefault(name, Met(name))
            (met.surely if len(row.species) == 1 else met.candidates).add(row.submission)
            met.exercises.add(row.exercise)
    return sorted(found.values(), key=lambda m: (-len(m.surely), -len(m.possibly), m.species))


def page(rows: Sequence[Graded]) -> str:
    """Draw one HTML page that needs nothing else: no script, no font, no network."""
    learners = len({row.submission for row in rows})
    return PAGE.format(
        learners=learners,
        mistakes=mistakes_table(count(rows), learners),
        exercises=exercises_table(rows),
        unnamed=unnamed_table(rows),
    )


def mistakes_table(mets: Sequence[Met], learners: int) -> str:
    """Draw how many learners met each mistake, with what it is."""
    if not mets:
        return "<p>No answer showed a known mistake.</p>"
    lines = []
    for met in mets:
        share = len(met.surely) / max(1, learners)
        known = SPECIES.get(met.species)
        cause = escape(known.cause) if known else ""
        if known and known.thread.startswith("https://"):
            cause += f' (<a href="{escape(known.thread)}">seen in public</a>)'
        possibly = f" and perhaps {len(met.possibly)} more" if met.possibly else ""
        where = ", ".join(sorted(met.exercises))
        lines.append(
            f"<tr><th scope=row><code>{escape(met.species)}</code><br><small>{cause}</small></th>"
            f"<td><meter max=1 value={share:.3f}></meter> {len(met.surely)}{possibly}</td>"
            f"<td>{escape(where)}</td></tr>"
        )
    return table(("mistake", "learners", "exercises"), lines)


def exercises_table(rows: Sequence[Graded]) -> str:
    """Draw how each exercise went."""
    lines = []
    for exercise in dict.fromkeys(row.exercise for row in rows):
        statuses = Counter(row.status for row in rows if row.exercise == exercise)
        cells = "".join(f"<td>{statuses[status] or ''}</td>" for status in STATUSES)
        lines.append(f"<tr><th scope=row>{escape(exercise)}</th>{cells}</tr>")
    return table(("exercise", *STATUSES), lines)


def unnamed_table(rows: Sequence[Graded]) -> str:
    """Draw what wrong answers without a known mistake fail first: where a new one may hide."""
    wrong = [row for row in rows if row.status == "failed" and not row.species and row.failed]
    if not wrong:
        return "<p>Every wrong answer showed a known mistake.</p>"
    firsts = Counter((row.exercise, row.failed[0]) for row in wrong)
    lines = [
        f"<tr><th scope=row>{escape(exercise)}</th><td>{escape(name)}</td><td>{number}</td></tr>"
        for (exercise, name), number in firsts.most_common()
    ]
    return table(("exercise", "fails first", "answers"), lines)


def table(columns: Sequence[str], lines: Sequence[str]) -> str:
    """Draw an HTML table."""
    head = "".join(f"<th scope=col>{escape(column)}</th>" for column in columns)
    body = "".join(lines)
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Misconceptions</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
div {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }}
th[scope=row] {{ font-weight: normal; }}
</style>
<h1>What {learners} submissions show</h1>
<h2>Known mistakes</h2>
<p>A learner counts once for each mistake, however many answers show it. An answer that fits several
mistakes is only "perhaps" any of them.</p>
{mistakes}
<h2>Exercises</h2>
{exercises}
<h2>Wrong in a way that has no name yet</h2>
{unnamed}
</html>
"""
