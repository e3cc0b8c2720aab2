"""Take one file apart into the code that each exercise needs, and grade it."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.result import Result, without_points
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.submissions import Submission, printable

MOST_TIMEOUTS = 3  # of one file
NOT_RUN = "not run"
LOOK_TWICE = (
    *("cleanformer_lite", "sys.modules", "importlib", "__import__", "_getframe", "gc.get_"),
    *("__subclasses__", "__globals__", "__builtins__", "ctypes", "pickle", "marshal", "base64"),
)
ALIKE_FROM = 200  # characters: shorter answers are alike by chance


@dataclass(frozen=True)
class Paper:
    """One file, taken apart into the code that each exercise needs.

    `outlines` has an entry for each exercise whose name occurs in the file, `whole` all its code.
    """

    learner: str
    submission: str
    outlines: dict[str, dict[str, Any]] = field(default_factory=dict)
    whole: tuple[Any, ...] = ()
    trouble: tuple[str, str] | None = None

    def only(self, exercises: Sequence[str]) -> "Paper":
        """Return the part that some exercises need, to be sent elsewhere."""
        outlines = {name: self.outlines[name] for name in exercises}
        hides = any(outline["hides"] for outline in outlines.values())
        return replace(self, outlines=outlines, whole=self.whole if hides else ())

    def code(self, exercise: str) -> str:
        """Return the code that an answer's result depends on."""
        outline = self.outlines[exercise]
        pieces = [text for _, _, text in outline["code"]]
        if outline["hides"]:
            pieces += ["", *(text for _, _, text in self.whole)]
        return "\n".join([*pieces, *outline["broken"]])


@dataclass(frozen=True)
class Work:
    """The answers of one paper still to run, and how many ran out of time before."""

    number: int
    paper: Paper
    exercises: tuple[str, ...]
    seed: int | None
    timeouts: int


def grade_file(
    runner: Runner,
    submission: Submission,
    exercises: Sequence[str],
    seed: int | None = None,
    tried: Callable[[int, int], None] = lambda done, total: None,
) -> list[Result]:
    """Grade one file by itself; return a result for each exercise.

    `tried` is called with the number of answers done and their total.

    Raises: SlotLostError if the runner was closed meanwhile.
    """
    paper = take_apart(runner, (submission.name, submission, exercises))
    work = Work(0, paper, runnable(paper, exercises), seed, 0)
    done = {result.exercise: result for result in grade_paper(runner, work, tried)}
    results = [done.get(name) or not_run(paper, name) for name in exercises]
    return say_what_it_rests_on(paper, results)


def take_apart(runner: Runner, item: tuple[str, Submission, Sequence[str]]) -> Paper:
    """Find the code that each exercise needs, without running any."""
    learner, submission, exercises = item
    if submission.trouble is not None:
        return Paper(learner, submission.name, trouble=submission.trouble)
    outline = runner.read(submission, exercises)
    if "trouble" in outline:
        trouble = ("unreadable", printable(outline["trouble"]))
        return Paper(learner, submission.name, trouble=trouble)
    whole = tuple(map(tuple, outline["whole"]))
    return Paper(learner, submission.name, outline["answers"], whole)


def runnable(paper: Paper, exercises: Sequence[str]) -> tuple[str, ...]:
    """Return the exercises for which it is worth running the file."""
    outlines = paper.outlines
    return tuple(
        e for e in exercises if e in outlines and (outlines[e]["code"] or outlines[e]["hides"])
    )


def not_run(paper: Paper, exercise: str) -> Result:
    """Return the result of an exercise for which nothing of a file is run."""
    told = EXERCISES[exercise]
    if paper.trouble is not None:
        return without_points(told, *paper.trouble)
    broken = paper.outlines.get(exercise, {}).get("broken")
    return without_points(told, *(("crashed", printable(broken[0])) if broken else ("missing",)))


def grade_paper(
    runner: Runner,
    work: Work,
    tried: Callable[[int, int], None] = lambda done, total: None,
) -> list[Result]:
    """Run and judge the answers of one file, up to a number of timeouts."""
    paper, timeouts = work.paper, work.timeouts
    seed = secrets.randbelow(2**31) if work.seed is None else work.seed
    attempts = []
    given_up = []
    for number, exercise in enumerate(work.exercises):
        tried(number, len(work.exercises))
        if timeouts >= MOST_TIMEOUTS:
            given_up.append(without_points(EXERCISES[exercise], "timeout", NOT_RUN))
            continue
        outline = paper.outlines[exercise]
        attempts.append(runner.run(exercise, outline["code"], seed, outline["broken"]))
        timeouts += attempts[-1].timed_out
    results = {r.exercise: _with_flags(paper, r) for r in runner.judge(attempts)}
    again = []
    for exercise, result in results.items():
        outline = paper.outlines[exercise]
        if outline["hides"] and not result.passed and timeouts < MOST_TIMEOUTS:
            again.append(runner.run(exercise, paper.whole, seed, outline["broken"]))
            timeouts += again[-1].timed_out
    for result in runner.judge(again):
        first = results[result.exercise]
        if result.passed or (first.status in ("missing", "crashed") and result.status != "timeout"):
            note = "the whole file was run: a part of it did not answer the exercise"
            result = replace(result, notes=(note, *result.notes))
            results[result.exercise] = _with_flags(paper, result, whole=True)
        elif result.status == "timeout":
            note = "the whole file was run, too, and did not end in time"
            results[result.exercise] = replace(first, notes=(*first.notes, note))
    blamed = _blame_others(runner, paper, list(results.values()), seed)
    return [*blamed, *given_up]


def _blame_others(
    runner: Runner, paper: Paper, results: Sequence[Result], seed: int
) -> list[Result]:
    """Try wrong answers once more with right ones in place of those that they depend on."""
    attempts = [
        runner.run(result.exercise, outline["code"], seed, outline["broken"], outline["rests_on"])
        for result in results
        if (outline := paper.outlines[result.exercise])["rests_on"]
        and result.status in ("failed", "crashed")
    ]
    right = {result.exercise for result in runner.judge(attempts) if result.passed}
    return [_blaming(paper, result) if result.exercise in right else result for result in results]


def _blaming(paper: Paper, result: Result) -> Result:
    """Note that an answer is right except for an answer that it depends on."""
    names = " and ".join(paper.outlines[result.exercise]["rests_on"])
    note = f"this answer is right: it fails only because your answer to {names} does"
    return replace(result, notes=(*result.notes, note))


def _with_flags(paper: Paper, result: Result, whole: bool = False) -> Result:
    """Add flags for the teacher, and a fingerprint of code that is long enough.

    Both concern the code that was run: what the exercise needs, or the `whole` file.
    """
    code = paper.whole if whole else paper.outlines[result.exercise]["code"]
    text = "\n".join(text for _, _, text in code)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    mentions = (f"mentions {word}" for word in LOOK_TWICE if word in text)
    flags = (*mentions, *result.flags)
    return replace(result, flags=flags, digest=digest if len(text) >= ALIKE_FROM else "")


def say_what_it_rests_on(paper: Paper, results: Sequence[Result]) -> list[Result]:
    """Name the file of results, and note those that depend on answers that do not pass."""
    wrong = {r.exercise for r in results if not r.passed and r.status != "missing"}
    named = []
    for result in results:
        if result.message == NOT_RUN:
            why = f"{NOT_RUN}: {MOST_TIMEOUTS} answers of {paper.submission} ran out of time"
            result = without_points(EXERCISES[result.exercise], "timeout", why)
        below = paper.outlines.get(result.exercise, {}).get("rests_on", ())
        advice = ": fix that one first" if result.exercise in wrong else ""
        notes = tuple(
            f"it depends on your answer to {name}, which does not pass{advice}"
            for name in below
            if name in wrong and result.status != "missing"
        )
        named.append(
            replace(
                result,
                learner=paper.learner,
                submission=paper.submission,
                notes=(*result.notes, *notes),
            )
        )
    return named
