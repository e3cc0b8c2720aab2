"""Write book/species.md: which property catches which mistake, computed by running them all."""

import sys
from pathlib import Path

from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cleanformer_lite.checks import EXERCISES, MISTAKES, Mistake  # noqa: E402
from cleanformer_lite.checks.course.split_heads import MODULE  # noqa: E402
from cleanformer_lite.checks.engine.attention import module_of  # noqa: E402
from cleanformer_lite.checks.engine.compare import same_outcome  # noqa: E402
from cleanformer_lite.checks.engine.evidence import Evidence  # noqa: E402
from cleanformer_lite.checks.engine.function_probe import FunctionProbe  # noqa: E402
from cleanformer_lite.checks.engine.module_probe import FULL, failures, properties_for  # noqa: E402
from cleanformer_lite.checks.engine.observe import observe_module  # noqa: E402
from cleanformer_lite.checks.engine.trials import TRIALS  # noqa: E402
from cleanformer_lite.files import write_file  # noqa: E402

PAGE = ROOT / "book" / "species.md"
# Without weights these are one thing: read query as key, and key as query.
TWINS = {"registration_bug.repair": ("einsum_axes_swapped", "softmax_over_queries")}
SEED = 20250301
CAUGHT, SOMETIMES, NOT = "●", "○", "·"
RUNS = "runs"
Matrix = dict[str, dict[str, str]]


def mistake_modules() -> dict[str, tuple[type[nn.Module], ...]]:
    """List every mistake that a split module can show, with the modules that show it."""
    return {
        name: tuple(module_of(kind) for kind in known.classes)
        for name, known in MISTAKES.items()
        if known.in_modules
    }


def failing(module: type[nn.Module], seed: int = SEED) -> tuple[str, ...]:
    """Name the properties that a module fails; one that raises fails to run, and nothing else."""
    observed = observe_module(module, FULL, seed)
    evidence = Evidence(observed, FULL, seed)
    if any(evidence.call(label, "plain").error is not None for label in TRIALS):
        return (RUNS,)
    return tuple(failures(evidence))


def matrix(seed: int = SEED) -> Matrix:
    """Compute, for each species and property, whether all, some or none of its variants fail."""
    table: Matrix = {}
    for name, modules in mistake_modules().items():
        found = [failing(module, seed) for module in modules]
        table[name] = {
            column: mark([column in failed for failed in found]) for column in MODULE.properties
        }
    return table


def mark(caught: list[bool]) -> str:
    """Write one cell."""
    return CAUGHT if all(caught) else SOMETIMES if any(caught) else NOT


def totals(table: Matrix) -> tuple[int, int, int]:
    """Count species, properties, and cells in which a property catches a species."""
    cells = [cell for row in table.values() for cell in row.values()]
    return len(table), len(next(iter(table.values()))), sum(cell != NOT for cell in cells)


def page() -> str:
    """Write the page of the book."""
    table = matrix()
    rows, columns, cells = totals(table)
    parts = [
        "# The mistakes, and what catches them",
        "Most of these mistakes were met in public code; where a thread is named, it shows such a "
        "case. Every one is kept in `cleanformer_lite/checks/mistakes/` as a class that is "
        "wrong on purpose. The exercises compare an answer with each of them.",
        "## The matrix",
        f"{rows} mistakes, {columns} properties, {cells} cells in which one catches the other. "
        f"{CAUGHT} caught, {SOMETIMES} caught in some of its forms, {NOT} not caught. Computed by "
        "running each mistake; a test computes it again and compares. Mistakes that no split "
        "module can show have no row: they stand in the list below, with the exercise that knows "
        "them.",
        legend(),
        grid(table),
        "## The mistakes",
        *(entry(MISTAKES[name], table.get(name)) for name in MISTAKES),
        "## What cannot be told apart",
        *twins(),
    ]
    return "\n\n".join(parts) + "\n"


def legend() -> str:
    """Number the properties, each with its sentence."""
    asked = {RUNS: "It can be built and called."}
    asked |= {name: (check.__doc__ or "") for name, check in properties_for(FULL).items()}
    return "\n".join(
        f"{number}. `{name}`: {asked[name]}" for number, name in enumerate(MODULE.properties, 1)
    )


def grid(table: Matrix) -> str:
    """Write the table, with the numbers of the properties for columns."""
    numbers = [str(number) for number in range(1, len(MODULE.properties) + 1)]
    lines = ["| mistake | " + " | ".join(numbers) + " |"]
    lines.append("|---|" + ":-:|" * len(numbers))
    for name, row in table.items():
        lines.append(f"| `{name}` | " + " | ".join(row.values()) + " |")
    return "\n".join(lines)


def entry(species: Mistake, row: dict[str, str] | None) -> str:
    """Write about one mistake."""
    if row is None:
        caught = " and ".join(
            f"`{name}`, in the exercise `{exercise}`" for exercise, name in own(species.id)
        )
    else:
        caught = ", ".join(f"`{name}`" for name, cell in row.items() if cell != NOT)
    caught = caught or "an examination alone, which looks at the steps of a module"
    thread = f" Seen in <{species.thread}>." if species.thread else ""
    return (
        f"### {species.id}\n\n{sentence(species.cause)} What you see: {species.symptom}. "
        f"Caught by {caught}.{thread}"
    )


def own(species: str) -> list[tuple[str, str]]:
    """List the exercises that know a species themselves, and what it fails there first."""
    found = []
    for exercise in EXERCISES.values():
        probe = exercise.probe
        if isinstance(probe, FunctionProbe) and species in probe.mistakes:
            yours = probe.outcomes(probe.adapt(probe.mistakes[species][0]), SEED)
            expected = probe.outcomes(probe.adapt(probe.reference), SEED)
            fails = next(
                case.fails
                for case in probe.cases
                if not same_outcome(yours[case.name], expected[case.name])
            )
            found.append((exercise.id, fails))
    return found


def sentence(text: str) -> str:
    """Begin with a capital, unless code begins it, and end with a full stop."""
    return text[0].upper() + text[1:] + "."


def twins() -> list[str]:
    """Write which mistakes an exercise cannot tell apart."""
    lines = [
        f"- In `{exercise}`, where only the output is returned: "
        + " and ".join(f"`{name}`" for name in names)
        + "."
        for exercise, names in TWINS.items()
    ]
    return ["\n".join(lines), "Everywhere else every mistake has a behaviour of its own."]


def main() -> None:
    """Write the page."""
    print(write_file(PAGE, page()))


if __name__ == "__main__":
    main()
