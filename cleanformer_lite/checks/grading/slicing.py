"""Find the statements that an answer needs, so that timings and plots are not run again."""

from cleanformer_lite.checks.grading.statements import Statement

# Calls of these by name may change what no analysis sees; calls of what was imported from our own
# package, and of Python's other functions, change nothing.
CHANGES_ANYTHING = {"setattr", "delattr", "exec", "eval", "globals", "vars", "locals", "__import__"}
SHOWS_ALL = {"globals", "vars", "locals"}  # harmless where a function of ours is handed it
REGISTERS = ("__init_subclass__", "metaclass", "__set_name__")  # in a class that others build on
HARMLESS = {"print", "display", "help", "len", "isinstance", "repr", "list", "sorted", "type", "id"}


def needed(statements: list[Statement], name: str) -> list[Statement]:
    """Return the statements that define `name` and, in order, all that they depend on.

    Values that a name had before it was bound anew are not needed. A function of a module
    (`torch.cuda.synchronize()` in a timing loop) makes no statement needed.
    """
    changes = _changes(statements)
    kept: set[int] = set()
    asked: set[tuple[str, int]] = set()
    wanted = [(name, len(statements))]  # a name, and before which statement its value is needed
    while wanted:
        entry = wanted.pop()
        if entry in asked:
            continue
        asked.add(entry)
        read, when = entry
        for index in reversed(range(when)):
            statement = statements[index]
            if not (statement.takes_all or read in changes[index]):
                continue
            kept.add(index)
            wanted += [(earlier, index) for earlier in statement.reads_now]
            wanted += [(later, when) for later in statement.reads_later]
            if read in statement.binds:
                break
    return [statements[index] for index in sorted(kept)]


def _changes(statements: list[Statement]) -> list[frozenset[str]]:
    """Return, for each statement, the names that it binds or whose objects it may change."""
    modules = frozenset[str]().union(*(statement.imports for statement in statements))
    later = {name: s.writes_later for s in statements for name in s.writes if s.writes_later}
    return [
        statement.writes.union(
            statement.calls - modules,
            *(later.get(function, frozenset()) for function, _ in statement.arguments),
        )
        for statement in statements
    ]


def hides_something(statements: list[Statement], kept: list[Statement], name: str) -> bool:
    """Say whether statements left out may change the answer in ways that no analysis sees.

    So may `setattr(Answer, ...)`, `exec`, a function of the file that is handed the answer, a
    decorator that registers, and a class that is built on one that registers.
    """
    defined = frozenset[str]().union(*(s.writes for s in kept if s.defines), {name} if kept else ())
    ours = frozenset[str]().union(*(s.ours for s in statements), HARMLESS)
    registering = frozenset[str]().union(
        *(s.writes for s in kept if s.defines and any(word in s.piece.text for word in REGISTERS))
    )
    within = {id(statement) for statement in kept}
    for statement in statements:
        if id(statement) in within:
            continue
        hidden = (statement.reads_now | statement.reads_later) & CHANGES_ANYTHING
        called = {function for function, _ in statement.arguments}
        if hidden and not (hidden <= SHOWS_ALL and called and called <= ours):
            return True
        if statement.defines and statement.reads_now & registering:
            return True
        if any(given & defined and f not in ours for f, given in statement.arguments):
            return True
    return False
