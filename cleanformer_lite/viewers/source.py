"""Show the real source of what a page talks about, so that no page carries a copy of it."""

import inspect
import textwrap
from typing import Any


def show_source(*objects: Any) -> None:
    """Display the source of functions, classes or modules, highlighted as Python.

    Raises: ValueError for an object whose source Python cannot find.
    """
    from IPython.display import Markdown, display

    sources = [read_source(shown) for shown in objects]
    display(Markdown("```python\n" + "\n\n".join(sources) + "\n```"))  # type: ignore[no-untyped-call]


def read_source(shown: Any) -> str:
    """Return the source of one object.

    Raises: ValueError if Python cannot find it.
    """
    try:
        return textwrap.dedent(inspect.getsource(shown)).strip("\n")
    except (TypeError, OSError):
        raise ValueError(f"wanted a function, class or module, got {shown!r}") from None
