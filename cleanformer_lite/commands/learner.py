"""The commands of learners: `list`, `check`, `hint`; `watch` has a file of its own."""

import argparse
import json
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from cleanformer_lite.commands import Commands, add

if TYPE_CHECKING:
    from cleanformer_lite.checks import Exercise, Progress
    from cleanformer_lite.checks.grading.result import Result
    from cleanformer_lite.checks.grading.runner import Runner
    from cleanformer_lite.checks.grading.submissions import Submission

ABOUT_LIST = """\
List every exercise, chapter by chapter: the name to define, its points, the minutes it takes a
first reader, how hard it is (1 to 3 stars), and what came of your answer so far.
"""
ABOUT_CHECK = """\
Check every answer in a notebook or a .py file. Each answer runs in a process of its own, with
limits of time and memory. Of the file, only the statements that an answer needs are run, or the
whole file where those are not enough. What you have solved is noted in
cleanformer_lite_progress.json beside you, where `list` and `hint` find it.

Exit code: 0 if everything that is answered passes, 1 if not, 2 if the file cannot be used.
"""
ABOUT_HINT = """\
Print the task of an exercise and one step of help: first a nudge, then the place, then the fix. If
the last `check` named a known mistake, the help is about that mistake.
"""


def add_to(commands: Commands) -> None:
    """Describe the commands."""
    parser = add(commands, "list", "list the exercises", ABOUT_LIST)
    parser.add_argument("chapter", nargs="?", help="only this chapter, such as split_heads")
    parser.set_defaults(run=list_exercises)

    parser = add(commands, "check", "check the answers in one notebook or .py file", ABOUT_CHECK)
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.set_defaults(run=check)

    parser = add(commands, "hint", "one step of help", ABOUT_HINT)
    parser.add_argument("exercise", metavar="ID", help="an exercise, such as split_heads.merge")
    parser.add_argument("--step", type=int, default=1, help="how far to go (default: 1)")
    parser.set_defaults(run=hint)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options that `check` and `watch` share."""
    parser.add_argument("file", type=Path, help="a notebook or .py file with answers")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="check this exercise; repeatable"
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="time limit of one answer (default: 10)"
    )
    parser.add_argument("--seed", type=int, help="draw the same inputs again (default: fresh ones)")


# ------------------------------------------------------------------------------------------- list


def list_exercises(arguments: argparse.Namespace) -> int:
    """Print the exercises.

    Raises: ValueError for a chapter that does not exist.
    """
    from cleanformer_lite.checks import EXERCISES, Progress

    progress = Progress.load()
    exercises = list(EXERCISES.values())
    chapters = list(dict.fromkeys(exercise.chapter for exercise in exercises))
    if arguments.chapter is not None:
        if arguments.chapter not in chapters:
            raise ValueError(f"wanted one of {', '.join(chapters)}, got {arguments.chapter}")
        exercises = [one for one in exercises if one.chapter == arguments.chapter]
    width = max(len(exercise.id) for exercise in exercises)
    for chapter, group in groupby(exercises, key=lambda exercise: exercise.chapter):
        print(chapter)
        for exercise in group:
            print(_line(exercise, progress, width))
    possible = sum(exercise.points for exercise in exercises)
    done = sum(
        int(progress.results.get(exercise.id, {}).get("points", 0)) for exercise in exercises
    )
    print(f"{done} of {possible} points so far")
    return 0


def _line(exercise: "Exercise", progress: "Progress", width: int) -> str:
    """Write one exercise as a line."""
    status = progress.results.get(exercise.id, {}).get("status", "")
    stars = "*" * exercise.difficulty
    return (
        f"  {exercise.id:{width}}  {exercise.points:2} points {exercise.minutes:3} min  {stars:3}  "
        f"{exercise.entry_point:24} {status}"
    ).rstrip()


# ------------------------------------------------------------------------------------------ check


def check(arguments: argparse.Namespace) -> int:
    """Check once, and print the results."""
    from cleanformer_lite.checks.grading.limits import Limits
    from cleanformer_lite.checks.grading.runner import Runner

    submission = read(arguments.file)
    with Runner(Limits(seconds=arguments.seconds)) as runner:
        results = results_of(runner, submission, arguments)
    saved = record(results)
    if arguments.json:
        print(json.dumps([result.as_dict() for result in results], indent=1))
    else:
        print(_as_text(results))
    if saved:
        print(f"cleanformer-lite check: {saved}", file=sys.stderr)
    answered = [result for result in results if result.status != "missing"]
    return 0 if answered and all(result.passed for result in answered) else 1


def read(path: Path) -> "Submission":
    """Read a file with answers.

    Raises: OSError or ValueError if it cannot be used.
    """
    from cleanformer_lite.checks.grading.submissions import SUFFIXES, load

    if not path.exists():
        raise FileNotFoundError(f"wanted a notebook or .py file, but {path} does not exist")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"wanted a notebook or .py file, got {path}")
    submission = load(path.resolve(), path.name)
    if submission.trouble is not None:
        status, why = submission.trouble
        raise ValueError(f"{path} is {status}: {why}")
    return submission


def results_of(
    runner: "Runner", submission: "Submission", arguments: argparse.Namespace
) -> "list[Result]":
    """Check the exercises asked for, or all; a bar shows the progress.

    Raises: ValueError if the file cannot be taken apart.
    """
    from tqdm import tqdm

    from cleanformer_lite.checks import find
    from cleanformer_lite.checks.grading.grade import known
    from cleanformer_lite.checks.grading.paper import grade_file

    exercises = known([find(name).id for name in arguments.only])
    with tqdm(desc="answers", leave=False, disable=None, delay=0.5) as bar:

        def tried(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        results = grade_file(runner, submission, exercises, arguments.seed, tried)
    unreadable = [result for result in results if result.status == "unreadable"]
    if unreadable:
        raise ValueError(f"{submission.name} is unreadable: {unreadable[0].message}")
    return results


def record(results: "list[Result]") -> str:
    """Save the results for `list` and `hint`; return why that failed, if it did."""
    from cleanformer_lite.checks import Progress, Report

    try:
        progress = Progress.load()
        for result in results:
            if result.status != "missing":
                progress.record(
                    Report(
                        exercise=result.exercise,
                        status=result.status,
                        points=int(result.points),
                        max_points=result.max_points,
                        species=result.species,
                    )
                )
    except (OSError, ValueError) as error:
        return f"progress was not saved: {error}"
    return ""


def _as_text(results: "list[Result]") -> str:
    """Write a card for each answer, notes on the file, and the number of missing answers."""
    answered = [result for result in results if result.status != "missing"]
    pieces = [result.card for result in answered]
    notes = dict.fromkeys(note for result in answered for note in result.notes)
    if notes:
        pieces.append("\n".join(["Notes on the file:", *notes]))
    missing = len(results) - len(answered)
    if missing:
        exercises = "exercise" if missing == 1 else "exercises"
        pieces.append(f"Not answered yet: {missing} {exercises} (cleanformer-lite list)")
    points = sum(result.points for result in answered)
    possible = sum(result.max_points for result in results)
    solved = sum(result.passed for result in answered)
    pieces.append(f"{solved} of {len(answered)} answers pass, {points:g} of {possible} points")
    return "\n\n".join(pieces)


# ------------------------------------------------------------------------------------------- hint


def hint(arguments: argparse.Namespace) -> int:
    """Print one hint, and how to get the next.

    Raises: ValueError for an exercise or a step that does not exist.
    """
    from cleanformer_lite.checks import MISTAKES, Progress, find, hints_of

    exercise = find(arguments.exercise)
    mistake = Progress.load().mistake(exercise.id)
    mistake = mistake if mistake in MISTAKES else ""
    hints, step = hints_of(exercise.id, mistake), arguments.step
    if not 1 <= step <= len(hints):
        raise ValueError(f"wanted a step from 1 to {len(hints)}, got {step}")
    print(exercise.prompt)
    if mistake:
        print(f"\nYour last answer made a known mistake: {MISTAKES[mistake].cause}.")
    print(f"\nHint {step} of {len(hints)}: {hints[step - 1]}")
    if step < len(hints):
        print(f"\nMore: cleanformer-lite hint {exercise.id} --step {step + 1}")
    return 0
