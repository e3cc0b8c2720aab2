"""Grade a whole folder: every file, every exercise, whatever is handed in."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.executors import GradesElsewhere
from cleanformer_lite.checks.grading.journal import Journal, key_of
from cleanformer_lite.checks.grading.learners import (
    Learner,
    check_pattern,
    gather,
    name_of,
    read_roster,
)
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.result import Result, without_points
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.submissions import Submission, find, load, one_line, printable

MOST_TIMEOUTS = 3  # of one file
NOT_RUN = f"not run: {MOST_TIMEOUTS} answers of this file ran out of time"
ALIKE_FROM = 200  # characters: shorter answers are alike by chance

# Shows how far something has come: what is done, one by one, how many there are, what they are.
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass
class Course:
    """All that came of a folder: learners with their results, and files that were not graded."""

    learners: list[Learner]
    exercises: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)


@dataclass(frozen=True)
class Paper:
    """One file, taken apart: the code that each exercise needs of it.

    `outlines` has an entry for each exercise whose name occurs in the file, `whole` all its code.
    """

    learner: str
    submission: str
    outlines: dict[str, dict[str, Any]] = field(default_factory=dict)
    whole: tuple[Any, ...] = ()
    trouble: tuple[str, str] | None = None

    def only(self, exercises: Sequence[str]) -> "Paper":
        """Return what some exercises need, to be sent elsewhere."""
        outlines = {name: self.outlines[name] for name in exercises}
        hides = any(outline["hides"] for outline in outlines.values())
        return replace(self, outlines=outlines, whole=self.whole if hides else ())

    def code(self, exercise: str) -> str:
        """Return the text that an answer's result rests on."""
        outline = self.outlines[exercise]
        pieces = [text for _, _, text in outline["code"]]
        if outline["hides"]:
            pieces += ["", *(text for _, _, text in self.whole)]
        return "\n".join([*pieces, *outline["broken"]])


@dataclass(frozen=True)
class _Work:
    """What is left to do for one paper, and how many of its answers ran out of time before."""

    number: int
    paper: Paper
    exercises: tuple[str, ...]
    seed: int | None
    timeouts: int


@dataclass
class _Plan:
    """Which answers must be run, and under which key each result is kept."""

    keys: dict[tuple[int, str], str]
    work: list[_Work]


def known(exercises: Sequence[str]) -> list[str]:
    """Return the exercises to grade, all if none is named.

    Raises: ValueError naming those that do not exist.
    """
    strange = [name for name in exercises if name not in EXERCISES]
    if strange:
        raise ValueError(f"wanted some of {', '.join(EXERCISES)}, got {', '.join(strange)}")
    return [name for name in EXERCISES if not exercises or name in exercises]


def grade_file(
    runner: Runner,
    submission: Submission,
    exercises: Sequence[str],
    seed: int | None = None,
    tried: Callable[[int, int], None] = lambda done, total: None,
) -> list[Result]:
    """Grade one file that is nobody else's business; returns a result for each exercise.

    `tried` is told how many answers are done, and how many there are.

    Raises: SlotLost if the runner was closed meanwhile.
    """
    paper = take_apart(runner, (submission.name, submission, exercises))
    work = _Work(0, paper, _runnable(paper, exercises), seed, 0)
    done = {result.exercise: result for result in grade_paper(runner, work, tried)}
    results = [done.get(name) or _not_run(paper, name) for name in exercises]
    return _say_what_it_rests_on(paper, results)


def grade_folder(
    folder: Path,
    out: Path,
    executor: GradesElsewhere,
    *,
    exercises: Sequence[str] = (),
    learner: str | None = None,
    everything_of: str | None = None,
    roster: Path | None = None,
    shard: tuple[int, int] | None = None,
    seed: int | None = None,
    partial: bool = False,
    regrade: bool = False,
    progress: Progress = lambda done, total, what: done,
) -> Course:
    """Grade every notebook and `.py` file in a folder.

    `out` is where the journal lies: what it holds is not run again, unless `regrade`. `learner` is
    a pattern that says whose a file is, or all is `everything_of` one learner; `shard` (3, 20)
    takes the third of twenty parts of the learners; `partial` gives points for the properties that
    hold.

    Raises: ValueError for an exercise that does not exist or a folder without submissions, OSError
        for a folder that is not there or cannot be written.
    """
    chosen = known(exercises)
    check_pattern(learner)
    listed = None if roster is None else read_roster(roster)
    found = find(folder, leave_out=out, may_be_empty=everything_of is not None)
    names = [path.relative_to(folder).as_posix() for path in found.files]
    owners = [everything_of or one_line(name_of(name, learner)) for name in names]
    if everything_of is not None and listed is None:
        listed = [{"learner": everything_of}]
    files = list(zip(found.files, names, owners, strict=True))
    if shard is not None:
        files, listed = _part(files, listed, shard)
    out.mkdir(parents=True, exist_ok=True)
    with Journal(out / "journal.jsonl") as journal:
        # Every file is read before any answer runs: none can change another's text.
        papers = _take_all_apart(executor, files, chosen, progress)
        plan = _plan(papers, {} if regrade else journal.done, executor.limits, seed)
        done = dict(journal.done)
        outcomes = executor.map(grade_paper, plan.work)
        for number, results in progress(outcomes, len(plan.work), "files graded"):
            for result in results:
                key = plan.keys[plan.work[number].number, result.exercise]
                done[key] = result
                if result.message != NOT_RUN:
                    journal.write(key, result)
    results = list(_collect(papers, chosen, plan, done))
    if partial:
        results = [_with_partial_credit(result) for result in results]
    return bring_together(results, listed, chosen, found.skipped)


def bring_together(
    results: Sequence[Result],
    roster: Sequence[dict[str, str]] | None,
    exercises: list[str],
    skipped: list[tuple[str, str]],
) -> Course:
    """Make a course of results, however many runs they come from."""
    results = _flag_what_is_alike(results)
    return Course(gather(results, roster, exercises), exercises, skipped, results)


def take_apart(runner: Runner, item: tuple[str, Submission, Sequence[str]]) -> Paper:
    """Find out which code of a file each exercise needs; none of it is run."""
    learner, submission, exercises = item
    if submission.trouble is not None:
        return Paper(learner, submission.name, trouble=submission.trouble)
    outline = runner.read(submission, exercises)
    if "trouble" in outline:
        trouble = ("unreadable", printable(outline["trouble"]))
        return Paper(learner, submission.name, trouble=trouble)
    whole = tuple(map(tuple, outline["whole"]))
    return Paper(learner, submission.name, outline["answers"], whole)


def _take_all_apart(
    executor: GradesElsewhere,
    files: Sequence[tuple[Path, str, str]],
    exercises: Sequence[str],
    progress: Progress,
) -> list[Paper]:
    items = ((owner, load(path, name), exercises) for path, name, owner in files)
    papers = dict(progress(executor.map(take_apart, items), len(files), "files read"))
    return [papers[number] for number in range(len(files))]


def _part(
    files: list[tuple[Path, str, str]],
    roster: list[dict[str, str]] | None,
    shard: tuple[int, int],
) -> tuple[list[tuple[Path, str, str]], list[dict[str, str]] | None]:
    """Return one part of the learners: their files, and their lines of the roster."""
    number, parts = shard
    listed = [next(iter(entry.values())) for entry in roster or ()]
    everyone = sorted({owner for _, _, owner in files} | set(listed))
    mine = set(everyone[number - 1 :: parts])
    if roster is not None:
        roster = [entry for entry in roster if next(iter(entry.values())) in mine]
    return [file for file in files if file[2] in mine], roster


def _plan(
    papers: Sequence[Paper], done: dict[str, Result], limits: Limits, seed: int | None
) -> _Plan:
    """Find out what is not done yet; answers with the same code need one run."""
    plan = _Plan({}, [])
    planned: set[str] = set()
    for number, paper in enumerate(papers):
        todo = []
        timeouts = 0
        for exercise in _runnable(paper, list(paper.outlines)):
            key = key_of(paper.code(exercise), exercise, limits, seed)
            plan.keys[number, exercise] = key
            if key in done:
                timeouts += done[key].status == "timeout"
            elif key not in planned:
                planned.add(key)
                todo.append(exercise)
        if todo:
            plan.work.append(_Work(number, paper.only(todo), tuple(todo), seed, timeouts))
    return plan


def _runnable(paper: Paper, exercises: Sequence[str]) -> tuple[str, ...]:
    """Return the exercises of which anything can be found out by running the file."""
    outlines = paper.outlines
    return tuple(
        e for e in exercises if e in outlines and (outlines[e]["code"] or outlines[e]["hides"])
    )


def _not_run(paper: Paper, exercise: str) -> Result:
    """Say why nothing of a file is run for an exercise."""
    told = EXERCISES[exercise]
    if paper.trouble is not None:
        return without_points(told, *paper.trouble)
    broken = paper.outlines.get(exercise, {}).get("broken")
    return without_points(told, *(("crashed", printable(broken[0])) if broken else ("missing",)))


def grade_paper(
    runner: Runner,
    work: _Work,
    tried: Callable[[int, int], None] = lambda done, total: None,
) -> list[Result]:
    """Run answers of one file and judge them; a file whose answers never end is given up."""
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
    results = {result.exercise: result for result in runner.judge(attempts)}
    again = []
    for exercise, result in results.items():
        hides = paper.outlines[exercise]["hides"]
        if hides and not result.passed and timeouts < MOST_TIMEOUTS:
            again.append(
                runner.run(exercise, paper.whole, seed, paper.outlines[exercise]["broken"])
            )
            timeouts += again[-1].timed_out
    for result in runner.judge(again):
        if result.passed or results[result.exercise].status in ("missing", "crashed"):
            note = "the whole file was run: a part of it did not answer the exercise"
            results[result.exercise] = replace(result, notes=(note, *result.notes))
    return [_with_flags(paper, result) for result in (*results.values(), *given_up)]


def _with_flags(paper: Paper, result: Result) -> Result:
    """Note what a teacher may want to look at, and a fingerprint of code that is long enough."""
    text = "".join(text for _, _, text in paper.outlines[result.exercise]["code"])
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    flags = tuple(f"mentions {word}" for word in paper.outlines[result.exercise]["mentions"])
    return replace(result, flags=flags, digest=digest if len(text) >= ALIKE_FROM else "")


def _collect(
    papers: Sequence[Paper], exercises: Sequence[str], plan: _Plan, done: dict[str, Result]
) -> Iterator[Result]:
    """Return the results of every paper under its own name."""
    for number, paper in enumerate(papers):
        results = []
        for exercise in exercises:
            key = plan.keys.get((number, exercise))
            results.append(_not_run(paper, exercise) if key is None else done[key])
        yield from _say_what_it_rests_on(paper, results)


def _say_what_it_rests_on(paper: Paper, results: Sequence[Result]) -> list[Result]:
    """Put a name on results, and say which of them rest on answers that do not pass."""
    wrong = {r.exercise for r in results if not r.passed and r.status != "missing"}
    named = []
    for result in results:
        below = paper.outlines.get(result.exercise, {}).get("rests_on", ())
        notes = tuple(
            f"it rests on your answer to {name}, which does not pass: mend that one first"
            for name in below
            if name in wrong and result.exercise in wrong
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


def _with_partial_credit(result: Result) -> Result:
    """Give a wrong answer the share of the points that its right properties are."""
    if not result.tried or result.passed:
        return result
    properties = EXERCISES[result.exercise].properties
    right = len(set(properties) - set(result.failed))
    return replace(result, points=round(result.max_points * right / len(properties), 2))


def _flag_what_is_alike(results: Sequence[Result]) -> list[Result]:
    """Flag passed answers that are another learner's to the character."""
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    for result in results:
        if result.passed and result.digest:
            owners[result.exercise, result.digest].add(result.learner)
    flagged = []
    for result in results:
        others = sorted(owners.get((result.exercise, result.digest), set()) - {result.learner})
        if others:
            names = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if others[5:] else "")
            result = replace(result, flags=(*result.flags, f"same code as {names}"))
        flagged.append(result)
    return flagged
