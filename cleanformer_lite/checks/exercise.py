"""What an exercise is: one declaration that the notebook, the command line and the tests share."""

from dataclasses import dataclass, replace
from typing import Protocol

from cleanformer_lite.checks.observations import Observations
from cleanformer_lite.checks.report import Report
from cleanformer_lite.checks.session import kept


class Probe(Protocol):
    """How an answer is tried: one half runs beside the answer, the other far from it."""

    @property
    def properties(self) -> tuple[str, ...]: ...

    def observe(self, answer: object, seed: int) -> Observations: ...

    def judge(self, observed: Observations, seed: int) -> Report: ...


@dataclass(frozen=True)
class Exercise:
    """One task: what to write, how it is tried, and the hints for someone who is stuck.

    `starter` is the source shown in the notebook; `hints` go from a nudge over the place to the
    fix; `minutes` is a guess for a first reader; `difficulty` runs from 1 to 3.
    """

    id: str
    title: str
    entry_point: str
    prompt: str
    starter: str
    hints: tuple[str, str, str]
    points: int
    minutes: int
    difficulty: int
    probe: Probe

    @property
    def chapter(self) -> str:
        """The word that finds the chapter, its module and its tests."""
        return self.id.split(".")[0]

    @property
    def properties(self) -> tuple[str, ...]:
        """What is asked of an answer, in the order in which it is checked."""
        return self.probe.properties


def observe(exercise: Exercise, answer: object, seed: int) -> Observations:
    """Run an answer on seeded inputs and write down what happens, without any opinion.

    This half runs beside the answer, which may lie to it. An error that the answer raises becomes
    text; only a time limit or an interrupt passes through. The session's own settings are put
    back, whatever the answer changes.
    """
    with kept(seed):
        return exercise.probe.observe(answer, seed)


def judge(exercise: Exercise, observed: Observations, seed: int) -> Report:
    """Compare the observations with those of a right answer under the same seed.

    This half reads nothing of the answer but its observations, and trusts none of them: a missing
    observation, or one of the wrong kind, is a failed property, never an exception.
    """
    try:
        with kept(seed):
            found = exercise.probe.judge(observed, seed)
    except Exception as error:  # observations may be forged in ways that nobody thought of
        message = f"unreadable observations: {error}"
        found = Report(status="failed", failed=exercise.properties[:1], message=message)
    points = exercise.points if found.passed else 0
    return replace(found, exercise=exercise.id, points=points, max_points=exercise.points)
