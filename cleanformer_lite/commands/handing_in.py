"""The commands for other places to hand in: `gradescope`, `classroom`."""

import argparse
from pathlib import Path

from cleanformer_lite.commands import Commands, add

ABOUT_GRADESCOPE = """\
Write the zip file that Gradescope asks for under "Configure Autograder". It holds this package, and
two scripts: setup.sh installs it, run_autograder grades what a learner uploads.
"""
ABOUT_CLASSROOM = """\
Print a workflow for GitHub Classroom: save it as .github/workflows/classroom.yml in the repository
that learners start from. It grades each push, and shows the cards in the run's summary.
"""


def add_to(commands: Commands) -> None:
    """Describe the commands."""
    parser = add(commands, "gradescope", "write a zip file for Gradescope", ABOUT_GRADESCOPE)
    parser.add_argument("zip", type=Path, metavar="OUT.zip", help="the file to write")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="grade this exercise; repeatable"
    )
    parser.add_argument("--partial", action="store_true", help="points for properties that hold")
    parser.set_defaults(run=gradescope)

    parser = add(commands, "classroom", "print a GitHub Classroom workflow", ABOUT_CLASSROOM)
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="grade this exercise; repeatable"
    )
    parser.add_argument(
        "--install",
        default="git+https://github.com/cleanformer-lite/cleanformer_lite",
        metavar="WHAT",
        help="what pip installs (default: the repository of this package)",
    )
    parser.set_defaults(run=classroom)


def gradescope(arguments: argparse.Namespace) -> int:
    """Write Gradescope's zip file."""
    from cleanformer_lite.checks.grading.packing import gradescope_zip
    from cleanformer_lite.files import write_file

    content = gradescope_zip(_exercises(arguments.only), arguments.partial)
    write_file(arguments.zip, content)
    print(f"wrote {arguments.zip}: upload it under Configure Autograder")
    return 0


def classroom(arguments: argparse.Namespace) -> int:
    """Print the workflow."""
    from cleanformer_lite.checks.grading.packing import classroom_workflow

    print(classroom_workflow(_exercises(arguments.only), arguments.install), end="")
    return 0


def _exercises(names: list[str]) -> list[str]:
    """Look exercises up; an empty list stays empty.

    Raises: ValueError for one that does not exist.
    """
    from cleanformer_lite.checks import find

    return [find(name).id for name in names]
