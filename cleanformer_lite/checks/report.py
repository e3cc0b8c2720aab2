"""The result of a check, from the probe to the card that a reader sees."""

import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cleanformer_lite.checks.mistake import MISTAKES

if TYPE_CHECKING:
    from jinja2 import Template

# The last three are given only where answers run in processes of their own.
STATUSES = (
    *("passed", "failed", "missing", "timeout"),
    *("crashed", "memory", "refused", "unreadable"),
)
WIDTH = 110
MOST_SENTENCES = 4
SIGNS = {"passed": "✓", "missing": "…"}


@dataclass(frozen=True)
class Counterexample:
    """The smallest input found on which an answer is wrong, as text ready to print.

    `numbers` pairs the answer's numbers with the right ones, where there are only a few.
    """

    inputs: str
    yours: str
    target: str
    what: str = ""
    numbers: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Line:
    """One line of a card; `label` says what it holds, `link` is where it leads."""

    label: str
    text: str
    link: str = ""


@dataclass(frozen=True, repr=False)
class Report:
    """The result of one check.

    `species` names known mistakes, best first: one if it is certain, several if they cannot be told
    apart on this answer, none if no known mistake does the same. `failed` holds property names: the
    one that the counterexample shows, then the others in the order in which they are checked.
    `broken` says each as a sentence that should be true.
    `stage` says which stage of the computation goes wrong first, where that could be read.
    """

    exercise: str = ""
    status: str = "missing"
    points: int = 0
    max_points: int = 0
    failed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    stage: str = ""
    species: tuple[str, ...] = ()
    counterexample: Counterexample | None = None
    message: str = ""
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    @property
    def mistake(self) -> str:
        """The known mistake, if it is certain; empty otherwise."""
        return self.species[0] if len(self.species) == 1 else ""

    @property
    def title(self) -> str:
        """The exercise, how the check went, and the points."""
        sign = SIGNS.get(self.status, "✗")
        score = f"{self.points} of {self.max_points} points"
        return f"{sign} {self.exercise}: {_headline(self)} ({score})"

    def text(self, shell: bool = False) -> str:
        """Write the card as text; `shell` names the next step as a command of a shell."""
        lines = [f"{line.label}{line.text}" for line in _lines(self, shell)]
        return "\n".join([_on_one_line(self.title), *lines])

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Draw the card for a notebook: its lines, and the numbers of both sides as bars."""
        numbers = self.counterexample.numbers if self.counterexample else ()
        top = max((abs(value) for pair in numbers for value in pair), default=0.0) or 1.0
        bars = [
            {"left": 44 * place + 16 * side + 4, "height": max(1.0, abs(value) / top * 30),
             "up": value >= 0, "is_yours": side == 0}
            for place, pair in enumerate(numbers)
            for side, value in enumerate(pair)
        ]  # fmt: skip
        return _template().render(
            report=self,
            lines=_lines(self, shell=False),
            bars=bars,
            width=44 * len(numbers),
            yours=[pair[0] for pair in numbers],
            target=[pair[1] for pair in numbers],
            mark=f"hatch-{self.exercise}".replace(".", "-"),
        )


@cache
def _template() -> "Template":
    from jinja2 import Environment

    text = Path(__file__).with_name("card.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


def _headline(report: Report) -> str:
    """Say in a few words how it went."""
    if report.status == "missing":
        return "not answered yet"
    if report.status == "failed" and report.failed:
        others = len(report.failed) - 1
        more = f", and {others} more" if others else ""
        return f"{report.failed[0]} fails{more}"
    return {"timeout": "stopped", "crashed": "raised an error"}.get(report.status, report.status)


def _lines(report: Report, shell: bool) -> list[Line]:
    """List the lines below a card's title: seven at most."""
    lines: list[Line] = []
    case = report.counterexample
    if case is not None:
        if case.what not in ("", "result"):
            lines.append(Line("what: ", case.what))
        tried = [Line("tried: ", case.inputs)] if case.inputs else []
        lines += [*tried, Line("yours: ", case.yours), Line("target: ", case.target)]
    lines += [Line("", report.message)] if report.message else _named(report)
    if report.note:
        lines.append(Line("", report.note))
    if report.status in ("failed", "crashed", "timeout"):
        step = f"cleanformer-lite hint {report.exercise}" if shell else f"hint({report.exercise!r})"
        lines.append(Line("Next: ", step))
    return [Line(line.label, _on_one_line(line.text, _width(line)), line.link) for line in lines]


def _named(report: Report) -> list[Line]:
    """Name the mistake; if it is one of several, or unknown, say so."""
    if report.status not in ("failed", "crashed"):
        return []
    known = [MISTAKES[name] for name in report.species if name in MISTAKES]
    if not known:
        return _unnamed(report)
    if len(known) > 1:
        return [Line("Two or more known mistakes do this: ", ", ".join(m.id for m in known))]
    (found,) = known
    named = [Line(f"Known mistake {found.id}: ", f"{found.cause}.")]
    return named + ([Line("Seen in ", found.thread, found.thread)] if found.thread else [])


def _unnamed(report: Report) -> list[Line]:
    """Name the properties that fail, and the stage that fails first, if no known mistake fits."""
    sentences = " ".join(report.broken[:MOST_SENTENCES])
    others = len(report.broken) - MOST_SENTENCES
    more = f" (and {others} more)" if others > 0 else ""
    lines = [Line("No mistake that we know does this. What does not hold: ", sentences + more)]
    return lines + ([Line("Goes wrong first: ", f"{report.stage}.")] if report.stage else [])


def _width(line: Line) -> int:
    """Return how long a line may be: inputs and outputs are cut, errors and causes are not."""
    is_error = line.label == "yours: " and "Error" in line.text
    is_long = line.label in ("tried: ", "yours: ", "target: ", "what: ") and not is_error
    return WIDTH if is_long else 3 * WIDTH


def _on_one_line(text: str, width: int = WIDTH) -> str:
    """Cut text to one line, because an answer may return text of any length."""
    return textwrap.shorten(" ".join(text.split()), width)
