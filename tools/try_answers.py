"""Try every answer of a folder, and count right ones refused and wrong ones accepted or misnamed.

A file holds one answer. Its docstring has lines `exercise: split_heads.module`, `verdict: right` or
`verdict: wrong`, and for wrong ones `species: name`, several with commas between, where a known
mistake should be named ("new species: name" is read as name). Any other verdict is only listed.

    python tools/try_answers.py FOLDER [--seeds 3] [--cards]
"""

import argparse
import contextlib
import io
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from cleanformer_lite.checks import EXERCISES, Report, check, judge, observe  # noqa: E402

# What can become of an answer, worst first.
OUTCOMES = (
    *("WRONG ACCEPTED", "RIGHT REFUSED", "MISNAMED", "CHANGES WITH THE SEED"),
    *("rejected, not named", "rejected, named", "rejected, no name needed", "accepted"),
    *("debatable, accepted", "debatable, rejected"),
)


@dataclass(frozen=True)
class Wild:
    """One file: the answer in it, and what its author says of it."""

    file: Path
    exercise: str
    verdict: str
    names: tuple[str, ...]
    about: str

    @classmethod
    def read(cls, file: Path) -> "Wild":
        """Read the docstring of a file.

        Raises: ValueError if it names no exercise.
        """
        head = file.read_text(encoding="utf-8").split('"""')[1]
        said = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
        if said.get("exercise") not in EXERCISES:
            raise ValueError(f"wanted a line 'exercise: ID' in the docstring of {file}")
        names = said.get("species", "").removeprefix("new species: ").split(",")
        known = tuple(name.strip() for name in names if " " not in name.strip())
        about = said.get("bug", said.get("style", ""))
        return cls(file, said["exercise"], said.get("verdict", "?"), known, about)

    def answer(self) -> Any:
        """Run the file, and return its answer."""
        names: dict[str, Any] = {"__name__": "answer", "__file__": str(self.file)}
        code = compile(self.file.read_text(encoding="utf-8"), str(self.file), "exec")
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(code, names)
        return names.get(EXERCISES[self.exercise].entry_point)

    def outcome(self, reports: list[Report]) -> str:
        """Say in a few words what became of it."""
        if len({(report.passed, report.species) for report in reports}) > 1:
            return "CHANGES WITH THE SEED"
        passed, named = reports[0].passed, reports[0].species
        if self.verdict == "right":
            return "accepted" if passed else "RIGHT REFUSED"
        if self.verdict != "wrong":
            return f"debatable, {'accepted' if passed else 'rejected'}"
        if passed:
            return "WRONG ACCEPTED"
        wanted = [name for name in self.names if name not in ("-", "misleading", "")]
        if named:
            return "rejected, named" if set(named) & set(wanted) or not wanted else "MISNAMED"
        return "rejected, not named" if wanted else "rejected, no name needed"


def tried(wild: Wild, seeds: int) -> list[Report]:
    """Check an answer as a notebook would, and judge it again with fixed seeds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = wild.answer()
        reports = [check(wild.exercise, answer)]
        exercise = EXERCISES[wild.exercise]
        for seed in range(1, seeds):
            if reports[0].status != "timeout":
                reports.append(judge(exercise, observe(exercise, answer, seed), seed))
    return reports


def main() -> int:
    """Try them all, list them by outcome, and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1, help="judge with so many (default: 1)")
    parser.add_argument("--cards", action="store_true", help="print every card")
    given = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(file for file in given.folder.rglob("*.py"))
    counted: Counter[str] = Counter()
    for file in files:
        wild = Wild.read(file)
        reports = tried(wild, given.seeds)
        outcome = wild.outcome(reports)
        counted[outcome] += 1
        names = " ".join(reports[0].species) or "no name"
        failed = " ".join(reports[0].failed[:3])
        print(
            f"{outcome:25} {wild.exercise:27} {file.stem:38} {names}  [{failed}] {wild.about:.90}"
        )
        if given.cards:
            print(f"{reports[0]}\n")
    print()
    for outcome in OUTCOMES:
        print(f"{counted[outcome]:5}  {outcome}")
    bad = ("WRONG ACCEPTED", "RIGHT REFUSED", "MISNAMED", "CHANGES WITH THE SEED")
    return 1 if any(counted[outcome] for outcome in bad) else 0


if __name__ == "__main__":
    sys.exit(main())
