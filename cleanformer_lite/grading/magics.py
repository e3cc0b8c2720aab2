"""Notebooks hold more than Python: blank what only IPython understands."""

import ast
import re

KEPT_CELL_MAGICS = ("%%time", "%%capture", "%%prun", "%%memit")
CELL_MAGIC = re.compile(r"(\s*)(%%\S*)[^\n]*\n?(.*)", re.DOTALL)
MAGIC = re.compile(r"^([ \t]*)(?:[\w, ]+= *)?[%!?].*$|^([ \t]*)[\w.]+\?\??[ \t]*$", re.MULTILINE)


def without_magics(source: str) -> str:
    """Blank what only IPython understands: `%magic`, `!shell`, `name?`, and cells such as `%%bash`.

    Lines keep their numbers.
    """
    whole = CELL_MAGIC.fullmatch(source)
    if whole is not None:
        blank, magic, rest = whole.groups()
        return f"{blank}\n{without_magics(rest)}" if magic in KEPT_CELL_MAGICS else ""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return MAGIC.sub(lambda found: f"{found[1] or found[2] or ''}pass", source)
    return source
