"""Write book/species.md: which property catches which mistake, computed by running them all."""

import re
import sys
from pathlib import Path

from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mistake_tests import SETTING, TESTS, differing_lines, test_for  # noqa: E402

from cleanformer_lite.checks import EXERCISES, MISTAKES, Counterexample, Mistake  # noqa: E402
from cleanformer_lite.checks.course.split_heads import MODULE  # noqa: E402
from cleanformer_lite.checks.engine.attention import module_of  # noqa: E402
from cleanformer_lite.checks.engine.evidence import Evidence  # noqa: E402
from cleanformer_lite.checks.engine.function_probe import FunctionProbe  # noqa: E402
from cleanformer_lite.checks.engine.module_probe import FULL, failures, properties_for  # noqa: E402
from cleanformer_lite.checks.engine.observe import observe_module  # noqa: E402
from cleanformer_lite.checks.engine.trials import TRIALS  # noqa: E402
from cleanformer_lite.checks.exercise import Exercise, judge, observe  # noqa: E402
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
    if any(evidence.call(label, "unmasked").error is not None for label in TRIALS):
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
        "Find what you see in the list. Each mistake then says what it is, shows its code beside "
        "the right one, and how to catch it: by a test of three lines where a module can show it, "
        "otherwise by a small case on which its exercise refuses it. Most were met in public code, "
        "and the thread is named. They are kept as classes that are wrong on purpose, and the "
        "exercises compare your answer with each of them.",
        "The tests run as they stand if `module` is your attention, in the signature of this book, "
        "and these lines come first:",
        code(SETTING),
        "## What do you see?",
        symptoms(),
        *(part for title, known in by_topic() for part in topic(title, known, table)),
        "## Which property catches which mistake",
        f"{rows} mistakes, {columns} properties, {cells} cells in which one catches the other. "
        f"{CAUGHT} caught, {SOMETIMES} caught in some of its forms, {NOT} not caught. Computed by "
        "running each mistake; a test computes it again and compares. Mistakes that no split "
        "module can show have no row.",
        grid(table),
        legend(),
        "## What cannot be told apart",
        *twins(),
    ]
    return "\n\n".join(parts) + "\n"


def code(text: str) -> str:
    """Fence some lines of Python."""
    return f"```python\n{text}\n```"


def by_topic() -> list[tuple[str, list[Mistake]]]:
    """Group the mistakes by the file that keeps them, under what its first line says."""
    topics: dict[str, list[Mistake]] = {}
    for known in MISTAKES.values():
        first_line = (sys.modules[known.classes[0].__module__].__doc__ or "").split(".")[0]
        topics.setdefault(sentence(first_line.split(" ", 2)[2])[:-1], []).append(known)
    return list(topics.items())


def symptoms() -> str:
    """List what is seen, by topic, each with the mistake that it leads to."""
    lines = []
    for title, known in by_topic():
        lines.append(f"**{title}**\n")
        lines += [f"- {sentence(one.symptom)} [`{one.id}`](#{one.id})" for one in known]
        lines.append("")
    return "\n".join(lines).strip()


def anchor(known: Mistake) -> str:
    """Name the id that a mistake's heading gets."""
    return known.id.replace("_", "-")


def topic(title: str, known: list[Mistake], table: Matrix) -> list[str]:
    """Write about the mistakes of one topic."""
    return [f"## {title}", *(entry(one, table.get(one.id)) for one in known)]


def legend() -> str:
    """Say of each property what it asks for."""
    asked = {RUNS: "It can be built and called."}
    asked |= {name: (check.__doc__ or "") for name, check in properties_for(FULL).items()}
    return "\n".join(f"- `{name}`: {asked[name]}" for name in MODULE.properties)


def grid(table: Matrix) -> str:
    """Draw the table, its columns named by the properties."""
    heads = "".join(
        f'<th scope="col"><span>{name.replace("_", " ")}</span></th>' for name in MODULE.properties
    )
    lines = [f'<tr><th scope="col">mistake</th>{heads}</tr>']
    for name, row in table.items():
        cells = "".join(f"<td>{cell}</td>" for cell in row.values())
        link = f'<a href="#{anchor(MISTAKES[name])}">{name.replace("_", " ")}</a>'
        lines.append(f'<tr><th scope="row">{link}</th>{cells}</tr>')
    inside = "\n".join(lines)
    return (
        '<div class="matrix" role="region" aria-label="Which property catches which mistake" '
        f'tabindex="0">\n<table>\n{inside}\n</table>\n</div>'
    )


def entry(known: Mistake, row: dict[str, str] | None) -> str:
    """Write about one mistake: what is seen, what it is, its code, and what catches it."""
    thread = (
        f" Seen in <{known.thread}>." if known.thread else " We know of no public thread on it."
    )
    parts = [
        f"({known.id})=\n### {known.id}",
        f"**You see:** {known.symptom}.\\\n**It is:** {known.cause}.{thread}",
        fold("Its code, and what catches it", *lines_of(known), *what_catches(known, row)),
    ]
    return "\n\n".join(parts)


def fold(title: str, *parts: str) -> str:
    """Close some parts under a title."""
    inside = "\n\n".join(parts)
    return f"<details>\n<summary>{title}</summary>\n\n{inside}\n\n</details>"


def lines_of(known: Mistake) -> list[str]:
    """Show the code of a mistake and, where there is such a place, what is right there."""
    wrong, right = differing_lines(known)
    if not right:
        return [code(wrong)]
    return [code(f"# wrong\n{wrong}\n\n# right\n{right}")]


def what_catches(known: Mistake, row: dict[str, str] | None) -> list[str]:
    """Show the test of a mistake, or else a case on which an exercise refuses it."""
    caught = [name for name, cell in (row or {}).items() if cell != NOT]
    name, in_all = test_for(mistake_modules().get(known.id, ()), caught)
    if name:
        where = "This test fails:" if in_all else "This test fails on the form above:"
        others = ", ".join(f"`{one}`" for one in caught if one != name)
        more = f"It asks for `{name}`." + (f" Also caught by {others}." if others else "")
        return [where, code(TESTS[name]), more]
    return refusals(known)


def refusals(known: Mistake) -> list[str]:
    """Show on what an exercise refuses a mistake, or where else it is found."""
    for exercise in EXERCISES.values():
        case = refusal(exercise, known)
        if case is not None:
            what = f"what: {case.what}\n" if case.what not in ("", "result") else ""
            # How torch words an error is another thing in each version: its kind is enough.
            yours = re.sub(r"(\w+Error): .*", r"\1", case.yours)
            lines = f"{what}tried: {case.inputs}\nyours: {yours}\ntarget: {case.target}"
            return [
                f"The exercise `{exercise.id}` refuses it on this case:",
                f"```text\n{lines}\n```",
            ]
    return ["Only `examine` finds it, because it looks at the steps of a module."]


def refusal(exercise: Exercise, known: Mistake) -> Counterexample | None:
    """Check a wrong answer that an exercise knows, and return the case on which it is refused."""
    probe = exercise.probe
    if isinstance(probe, FunctionProbe):
        answers: tuple[object, ...] = probe.mistakes.get(known.id, ())
    else:
        answers = mistake_modules().get(known.id, ()) if exercise.id == "split_heads.module" else ()
    if not answers:
        return None
    return judge(exercise, observe(exercise, answers[0], SEED), SEED).counterexample


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
