"""What axe-core holds against a page."""

from collections.abc import Iterable
from typing import Any

from axe_playwright_python.sync_playwright import Axe


def violations(page: Any, *, leave_out: Iterable[str] = ()) -> list[str]:
    """Name every rule that something on the page breaks, whatever its impact, and what does.

    Raises: AssertionError if axe, which looks for violations, has not found anything right either.
    """
    options = {
        "resultTypes": ["violations"],
        "rules": {rule: {"enabled": False} for rule in leave_out},
        "preload": False,  # it would fetch the style sheets anew, which no file may do
    }
    found = Axe().run(page, options=options).response
    assert found["passes"]
    return [
        f"{rule['id']}: {node['html'][:150]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
