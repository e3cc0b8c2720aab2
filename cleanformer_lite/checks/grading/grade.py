"""Grade every file in a folder on every exercise."""

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
from cleanformer_lite.checks.grading.paper import (
    NOT_RUN,
    Paper,
    Work,
    grade_paper,
    not_run,
    runnable,
    say_what_it_rests_on,
    take_apart,
)
from cleanformer_lite.checks.grading.result import Result
from cleanformer_lite.checks.grading.submissions import find, load, one_line

# Shows how far something has come: what is done, one by one, how many there are, what they are.
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass
class Course:
    """The outcome of a folder: learners with their results, and files that were not graded."""

    learners: list[Learner]
    exercises: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    @property
    def given_up(self) -> list[str]:
        """Files of which not every answer was run, because too many before had not ended."""
        late = (r for r in self.results if r.status == "timeout" and r.message.startswith(NOT_RUN))
        return sorted({result.submission for result in late})


@dataclass
class _Plan:
    """The answers that must be run, and the key under which each result is kept."""

    keys: dict[tuple[int, str], str]
    work: list[Work]


def known(exercises: Sequence[str]) -> list[str]:
    """Return the exercises to grade, all if none is named.

    Raises: ValueError naming those that do not exist.
    """
    strange = [name for name in exercises if name not in EXERCISES]
    if strange:
        raise ValueError(f"wanted some of {', '.join(EXERCISES)}, got {', '.join(strange)}")
    return [name for name in EXERCISES if not exercises or name in exercises]


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

    `out` holds the journal; results in it are not run again, unless `regrade`. `learner` is
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
    """Make a course of the results of one run or several."""
    results = _flag_what_is_alike(results)
    return Course(gather(results, roster, exercises), exercises, skipped, results)


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
    """List the answers that are not graded yet; answers with the same code need one run."""
    plan = _Plan({}, [])
    planned: set[str] = set()
    for number, paper in enumerate(papers):
        todo = []
        timeouts = 0
        for exercise in runnable(paper, list(paper.outlines)):
            key = key_of(paper.code(exercise), exercise, limits, seed)
            plan.keys[number, exercise] = key
            if key in done:
                timeouts += done[key].status == "timeout"
            elif key not in planned:
                planned.add(key)
                todo.append(exercise)
        if todo:
            plan.work.append(Work(number, paper.only(todo), tuple(todo), seed, timeouts))
    return plan


def _collect(
    papers: Sequence[Paper], exercises: Sequence[str], plan: _Plan, done: dict[str, Result]
) -> Iterator[Result]:
    """Return the results of every paper under its own name."""
    for number, paper in enumerate(papers):
        results = []
        for exercise in exercises:
            key = plan.keys.get((number, exercise))
            results.append(not_run(paper, exercise) if key is None else done[key])
        yield from say_what_it_rests_on(paper, results)


def _with_partial_credit(result: Result) -> Result:
    """Give a wrong answer points in proportion to the properties that hold."""
    if not result.tried or result.passed:
        return result
    properties = EXERCISES[result.exercise].properties
    right = len(set(properties) - set(result.failed))
    return replace(result, points=round(result.max_points * right / len(properties), 2))


def _flag_what_is_alike(results: Sequence[Result]) -> list[Result]:
    """Flag passed answers that equal another learner's, character by character."""
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
