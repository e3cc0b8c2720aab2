"""Which statements of a file an answer needs: a notebook's timings and plots are not run again."""

import __future__

import ast
import dis
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType

from cleanformer_lite.grading.magics import without_magics

FUTURE = 0
for _feature in __future__.all_feature_names:
    FUTURE |= getattr(__future__, _feature).compiler_flag
LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
STORES = {"STORE_GLOBAL", "STORE_NAME"}


@dataclass(frozen=True)
class Statement:
    """One statement of a file: its place, its code, and the names that it reads and writes.

    `calls` are names on which a method is called for its effect, `imports` those of modules.
    """

    place: str
    code: CodeType
    reads: frozenset[str]
    writes: frozenset[str]
    calls: frozenset[str]
    imports: frozenset[str]
    takes_all: bool


@dataclass(frozen=True)
class Unparsed:
    """A piece of a file that is no Python, and why."""

    place: str
    text: str
    error: str


def parse(cells: Iterable[tuple[str, str]]) -> tuple[list[Statement], list[Unparsed]]:
    """Take cells apart into statements; a cell with a syntax error does not stop the others."""
    statements: list[Statement] = []
    broken = []
    flags = 0
    for place, text in cells:
        try:
            for statement in statements_of(place, text, flags):
                statements.append(statement)
                flags |= statement.code.co_flags & FUTURE
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f"line {getattr(error, 'lineno', None) or '?'}"
            said = getattr(error, "msg", None) or str(error)
            broken.append(Unparsed(at(place, line), text, f"{type(error).__name__}: {said}"))
    return statements, broken


def statements_of(place: str, text: str, flags: int) -> Iterator[Statement]:
    """Compile the top-level statements of one cell, each by itself.

    A cell of a notebook has a place, a `.py` file has none.
    """
    text = without_magics(text) if place else text
    for node in ast.parse(text, place or "answer").body:
        module = ast.Module([node], type_ignores=[])
        code = compile(module, place or "answer", "exec", flags, dont_inherit=True)
        yield Statement(
            place=at(place, f"line {node.lineno}"),
            code=code,
            reads=frozenset(names(code, LOADS)),
            writes=frozenset(names(code, STORES)) | frozenset(changed(node)),
            calls=frozenset(called(node)),
            imports=frozenset(imported(node)),
            takes_all=isinstance(node, ast.ImportFrom) and node.names[0].name == "*",
        )
        flags |= code.co_flags & FUTURE


def at(place: str, line: str) -> str:
    """Join a cell and a line to one place that a reader can find."""
    return f"{place}, {line}" if place else line


def names(code: CodeType, operations: set[str]) -> Iterator[str]:
    """Yield the global names that compiled code, and all code inside it, reads or writes."""
    for step in dis.get_instructions(code):
        if step.opname in operations:
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = operations if operations is LOADS else operations - {"STORE_NAME"}
            yield from names(constant, inner)


def changed(statement: ast.stmt) -> Iterator[str]:
    """Yield the names of objects that are written into: `x.y = 1`, `x[0] = 1`."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            yield from root(node)


def called(statement: ast.stmt) -> Iterator[str]:
    """Yield the names of objects that a method may change: `x.append(1)`."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from root(node.value.func)


def imported(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that stand for modules."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield (alias.asname or alias.name).split(".")[0]


def root(node: ast.expr) -> Iterator[str]:
    """Yield `a` of `a.b[c].d`; nothing of a bare name or of any other expression."""
    if isinstance(node, ast.Attribute | ast.Subscript):
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        if isinstance(node, ast.Name):
            yield node.id


def needed(statements: list[Statement], name: str) -> list[Statement]:
    """Return the statements that define `name` and, in order, all that they rest on.

    A function of a module (`torch.cuda.synchronize()` in a timing loop) makes no statement needed.
    """
    modules = frozenset[str]().union(*(statement.imports for statement in statements))
    wanted = {name}
    kept: set[int] = set()
    grown = True
    while grown:
        grown = False
        for index, statement in enumerate(statements):
            defines = statement.writes | (statement.calls - modules)
            if index not in kept and (statement.takes_all or defines & wanted):
                kept.add(index)
                wanted |= statement.reads
                grown = True
    return [statements[index] for index in sorted(kept)]
