"""`cleanformer-lite list`: what there is to solve, chapter by chapter."""

import argparse
from itertools import groupby
from typing import TYPE_CHECKING

from cleanformer_lite.commands import Commands

if TYPE_CHECKING:
    from cleanformer_lite.checks import Exercise, Progress

ABOUT = """\
List every exercise, chapter by chapter: the name to define, its points, the minutes it takes a
first reader, how hard it is (1 to 3 stars), and what came of your answer so far.
"""


def add_to(commands: Commands) -> None:
    """Describe the arguments."""
    parser = commands.add_parser("list", help="list the exercises", description=ABOUT)
    parser.add_argument("chapter", nargs="?", help="only this chapter, such as split_heads")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
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
            print(line(exercise, progress, width))
    possible = sum(exercise.points for exercise in exercises)
    done = sum(points(exercise, progress) for exercise in exercises)
    print(f"{done} of {possible} points so far")
    return 0


def line(exercise: "Exercise", progress: "Progress", width: int) -> str:
    """Write one exercise on a line."""
    status = progress.results.get(exercise.id, {}).get("status", "")
    stars = "*" * exercise.difficulty
    return (
        f"  {exercise.id:{width}}  {exercise.points:2} points {exercise.minutes:3} min  {stars:3}  "
        f"{exercise.entry_point:24} {status}"
    ).rstrip()


def points(exercise: "Exercise", progress: "Progress") -> int:
    """Return the points that an exercise has brought so far."""
    return int(progress.results.get(exercise.id, {}).get("points", 0))
