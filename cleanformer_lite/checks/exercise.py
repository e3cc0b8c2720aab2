"""What an exercise is: one declaration that the notebook, the command line and the tests share."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from cleanformer_lite.checks.report import Verdict

Fact = Tensor | str | bool | int | float
Observations = dict[str, Fact]


class Probe(Protocol):
    """How an answer is tried: one half runs beside the answer, the other far from it."""

    @property
    def properties(self) -> tuple[str, ...]: ...

    def observe(self, answer: object, seed: int) -> Observations: ...

    def judge(self, facts: Observations, seed: int) -> Verdict: ...


@dataclass(frozen=True)
class Exercise:
    """One task: what to write, how it is tried, and what to say to someone who is stuck.

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
