"""Split a file into statements, each with the names that it reads and writes."""

import __future__

import ast
import dis
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType

FUTURE = 0
for _feature in __future__.all_feature_names:
    FUTURE |= getattr(__future__, _feature).compiler_flag
LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
STORES = {"STORE_GLOBAL", "STORE_NAME"}
COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
KEPT_CELL_MAGICS = ("%%time", "%%capture", "%%prun", "%%memit")
CELL_MAGIC = re.compile(r"(\s*)(%%\S*)[^\n]*\n?(.*)", re.DOTALL)
TIMED = re.compile(r"^([ \t]*)%(?:time|prun|memit)[ \t]+(?=[^\s-])", re.MULTILINE)
MAGIC = re.compile(r"^([ \t]*)(?:[\w, ]+= *)?[%!?].*$|^([ \t]*)[\w.]+\?\??[ \t]*$", re.MULTILINE)

Cells = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Piece:
    """The text of one statement, with its cell ("" in a `.py` file) and line."""

    cell: str
    line: int
    text: str

    @property
    def place(self) -> str:
        """Its position, as a reader looks for it."""
        return place_of(self.cell, self.line)


@dataclass(frozen=True)
class Statement:
    """One statement of a file, its code, and the names that it reads and writes.

    `reads_now` are read when it runs, `reads_later` when what it defines is called. `binds` are
    names that it gives a new value whatever happens: earlier values are gone. `writes_later` are
    global names that a function writes or changes once it is called, `calls` names on which a
    method is called for its effect, `imports` those of modules. `arguments` holds, for each bare
    call, the function's name and the names that it is given.
    """

    piece: Piece
    code: CodeType
    reads_now: frozenset[str]
    reads_later: frozenset[str]
    binds: frozenset[str]
    writes: frozenset[str]
    writes_later: frozenset[str]
    calls: frozenset[str]
    imports: frozenset[str]
    ours: frozenset[str]
    arguments: tuple[tuple[str, frozenset[str]], ...]
    defines: bool
    takes_all: bool


@dataclass(frozen=True)
class Unparsed:
    """A piece of a file that is not Python, and why."""

    place: str
    text: str
    error: str


def place_of(cell: str, line: object) -> str:
    """Write a cell and a line as a position that a reader can find."""
    return f"{cell}, line {line}" if cell else f"line {line}"


def without_magics(source: str) -> str:
    """Blank lines that only IPython understands: `%magic`, `!shell`, `name?`, cells as `%%bash`.

    Statements behind `%time` are kept, and lines keep their numbers.
    """
    whole = CELL_MAGIC.fullmatch(source)
    if whole is not None:
        blank, magic, rest = whole.groups()
        return f"{blank}\n{without_magics(rest)}" if magic in KEPT_CELL_MAGICS else ""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        source = TIMED.sub(lambda found: found[1], source)
        return MAGIC.sub(lambda found: f"{found[1] or found[2] or ''}pass", source)
    return source


def parse(cells: Cells) -> tuple[list[Statement], list[Unparsed]]:
    """Split cells into statements; a cell with a syntax error does not stop the others."""
    statements: list[Statement] = []
    broken = []
    flags = 0
    for cell, text in cells:
        try:
            for statement in _statements_of(cell, text, flags):
                statements.append(statement)
                flags |= statement.code.co_flags & FUTURE
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            place = place_of(cell, getattr(error, "lineno", None) or "?")
            why = getattr(error, "msg", None) or str(error)
            broken.append(Unparsed(place, text, f"{type(error).__name__}: {why}"))
    return statements, broken


def compile_piece(piece: Piece, flags: int) -> CodeType:
    """Compile one statement as within its file, with its line numbers and futures.

    As in a notebook, it may await.
    """
    tree = ast.parse(piece.text)
    ast.increment_lineno(tree, piece.line - 1)
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(tree, file_of(piece.cell), "exec", flags, dont_inherit=True)
    return code


def file_of(cell: str) -> str:
    """Name a cell as Python names code that comes from no file."""
    return f"<{cell or 'answer'}>"


def _statements_of(cell: str, text: str, flags: int) -> Iterator[Statement]:
    """Compile the top-level statements of one cell, each by itself."""
    text = without_magics(text) if cell else text
    lines = text.encode().splitlines(keepends=True)  # positions count bytes
    for node in ast.parse(text).body:
        piece = _piece_of(cell, node, lines)
        code = compile_piece(piece, flags)
        inner_reads = frozenset(_names_within(code, LOADS))
        changed, called = frozenset(_changed(node)), frozenset(_called(node))
        stored_later = frozenset(_names_within(code, {"STORE_GLOBAL"}))
        yield Statement(
            piece=piece,
            code=code,
            reads_now=frozenset(_reads_now(node, code)),
            reads_later=inner_reads,
            binds=frozenset(_bound(node)),
            writes=frozenset(_names(code, STORES)) | changed,
            writes_later=stored_later | ((changed | called) & inner_reads),
            calls=called,
            imports=frozenset(_imported(node)),
            ours=frozenset(_imported(node, "cleanformer_lite")),
            arguments=tuple(_bare_calls(node)),
            defines=isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef),
            takes_all=isinstance(node, ast.ImportFrom) and node.names[0].name == "*",
        )
        flags |= code.co_flags & FUTURE


def _piece_of(cell: str, node: ast.stmt, lines: list[bytes]) -> Piece:
    """Cut the text of a statement out of its cell, with its decorators."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    last, end = node.end_lineno or first, node.end_col_offset
    cut = lines[first - 1 : last]
    cut[-1] = cut[-1][:end]
    cut[0] = cut[0][0 if decorators else node.col_offset :]
    return Piece(cell, first, b"".join(cut).decode())


def _names(code: CodeType, operations: set[str]) -> Iterator[str]:
    """Yield the global names that compiled code, and all code inside it, reads or writes."""
    for step in dis.get_instructions(code):
        if step.opname in operations:
            yield str(step.argval)
    inner = operations if operations is LOADS else operations - {"STORE_NAME"}
    yield from _names_within(code, inner)


def _reads_now(node: ast.stmt, code: CodeType) -> Iterator[str]:
    """Yield the global names that a statement reads when it runs.

    A definition without decorators reads what its functions read only once they are called.
    """
    defines = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    if not defines or getattr(node, "decorator_list", []):
        yield from _names(code, LOADS)
        return
    at_once = [code]
    while at_once:
        inner = at_once.pop()
        yield from (str(s.argval) for s in dis.get_instructions(inner) if s.opname in LOADS)
        # What stands in a class runs with it, and so does a comprehension; `def` and `lambda` wait.
        class_name = node.name if isinstance(node, ast.ClassDef) else ""
        at_once += [
            constant
            for constant in inner.co_consts
            if isinstance(constant, CodeType)
            and (constant.co_name in (class_name, *COMPREHENSIONS))
        ]


def _bound(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement always gives a new value.

    An import is left out, because it returns the same module, with earlier changes.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else []
    for target in targets:
        for part in ast.walk(target):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id


def _names_within(code: CodeType, operations: set[str]) -> Iterator[str]:
    """Yield the global names that the functions and classes in compiled code read or write."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant, operations)


def _changed(statement: ast.stmt) -> Iterator[str]:
    """Yield the names of objects that are written into: `x.y = 1`, `x[0] = 1`."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            yield from _root(node)


def _called(statement: ast.stmt) -> Iterator[str]:
    """Yield the names of objects that a method may change: `x.append(1)`, `@x.register`."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _root(node.value.func)
        for decorator in getattr(node, "decorator_list", []):
            yield from _root(decorator.func if isinstance(decorator, ast.Call) else decorator)


def _bare_calls(statement: ast.stmt) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the functions that statements and decorators call, with their arguments."""
    for node in ast.walk(statement):
        calls: list[ast.expr] = [node.value] if isinstance(node, ast.Expr) else []
        calls += getattr(node, "decorator_list", [])
        for call in calls:
            function = call.func if isinstance(call, ast.Call) else call
            if isinstance(node, ast.Expr) and not isinstance(call, ast.Call):
                continue
            name = function.id if isinstance(function, ast.Name) else next(_root(function), "")
            given = ast.walk(call) if isinstance(call, ast.Call) else iter(())
            yield name, frozenset(n.id for n in given if isinstance(n, ast.Name)) - {name}


def _imported(statement: ast.stmt, package: str = "") -> Iterator[str]:
    """Yield the names of modules, and of what is imported from one package."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                origin = getattr(node, "module", None) or alias.name
                if origin.startswith(package):
                    yield (alias.asname or alias.name).split(".")[0]


def _root(node: ast.expr) -> Iterator[str]:
    """Yield `a` of `a.b[c].d`; nothing for a bare name or any other expression."""
    if isinstance(node, ast.Attribute | ast.Subscript):
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        if isinstance(node, ast.Name):
            yield node.id
