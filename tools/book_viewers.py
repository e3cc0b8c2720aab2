"""Sphinx extension: the directive `{viewer}` puts a viewer into a page that runs no cell.

    ```{viewer} stage
    :step: x
    :play: true
    ```

The first line names a function of `cleanformer_lite.viewers`, the options are its arguments in
YAML, and what stands on the page is what a cell that calls it would show.
"""

from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cleanformer_lite import viewers


class AnyOption:
    """Takes an option of any name: the function's own signature refuses what it does not know."""

    def __contains__(self, name: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        return yaml.safe_load


class ViewerDirective(SphinxDirective):
    """One viewer as HTML that needs no kernel."""

    required_arguments = 1
    option_spec: Any = AnyOption()

    def run(self) -> list[nodes.Node]:
        """Call the function and write its page; what it refuses fails the build."""
        name = self.arguments[0]
        if name not in viewers.__all__:
            known = ", ".join(viewers.__all__)
            raise self.error(f"wanted a function of cleanformer_lite.viewers ({known}), got {name}")
        try:
            page = getattr(viewers, name)(**self.options).page()
        except (TypeError, ValueError) as error:
            raise self.error(f"{name}: {error}") from error
        return [nodes.raw("", page, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("viewer", ViewerDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
