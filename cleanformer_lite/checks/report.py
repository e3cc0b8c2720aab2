"""What checking an answer gives back."""

from dataclasses import dataclass

# The last three are given only where answers run in processes of their own.
STATUSES = (
    *("passed", "failed", "missing", "timeout"),
    *("crashed", "memory", "refused", "unreadable"),
)


@dataclass(frozen=True)
class Counterexample:
    """The smallest input found on which an answer goes wrong, as text ready to print."""

    inputs: str
    yours: str
    target: str
    what: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the judge found: which properties fail, which known mistakes do exactly the same."""

    status: str
    failed: tuple[str, ...] = ()
    species: tuple[str, ...] = ()
    counterexample: Counterexample | None = None
    message: str = ""


@dataclass(frozen=True)
class Report:
    """The result of one check.

    `species` names known mistakes, best first: one if it is certain, several if they cannot be told
    apart on this answer, none if no known mistake does the same. `failed` holds property names in
    the order in which they are checked.
    """

    exercise: str
    status: str
    points: int
    max_points: int
    failed: tuple[str, ...] = ()
    species: tuple[str, ...] = ()
    counterexample: Counterexample | None = None
    message: str = ""

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def __str__(self) -> str:
        from cleanformer_lite.checks.card import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from cleanformer_lite.checks.card import as_html

        return as_html(self)
