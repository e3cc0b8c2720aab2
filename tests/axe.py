"""What axe-core holds against a page."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

# axe-core 4.14.1 as npm has it: Python's packages bring versions that are years old.
AXE = Path(__file__).with_name("axe.min.js").read_text(encoding="utf8")
# Rules that axe leaves out because they are new.
MORE = {"label-content-name-mismatch": {"enabled": True}}


def violations(page: Any, *, leave_out: Iterable[str] = ()) -> list[str]:
    """Name every rule that something on the page breaks, whatever its impact, and what does.

    Raises: AssertionError if axe, which looks for violations, has not found anything right either.
    """
    options = {
        "resultTypes": ["violations"],
        "rules": MORE | {rule: {"enabled": False} for rule in leave_out},
        "preload": False,  # it would fetch the style sheets anew, which no file may do
    }
    page.evaluate(AXE)
    found = page.evaluate("options => axe.run(options)", options)
    assert found["passes"]
    return [
        f"{rule['id']}: {node['html'][:150]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
