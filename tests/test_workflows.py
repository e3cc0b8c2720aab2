"""What runs on GitHub holds to what keeps it safe: pinned actions, few rights, an end."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[1] / ".github" / "workflows"
WORKFLOWS = {path.stem: path for path in sorted(FOLDER.glob("*.yml"))}


def read(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf8")))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_it_is_pinned_has_few_rights_and_ends(name: str) -> None:
    workflow = read(name)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        steps = job.get("steps", [])
        used = [step["uses"] for step in steps if "uses" in step]
        assert [uses for uses in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", uses)] == []
        assert "timeout-minutes" in job or job["uses"].startswith("./")
        for step in steps:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_nothing_is_published_that_was_not_checked() -> None:
    jobs = read("publish")["jobs"]
    assert jobs["check"]["uses"] == "./.github/workflows/check.yml"
    assert jobs["build"]["needs"] == "check"
    assert jobs["deploy"]["needs"] == "build"
    rights = {name: job.get("permissions", {}) for name, job in jobs.items()}
    assert [name for name in rights if rights[name].get("pages") == "write"] == ["deploy"]


def test_what_reaches_main_is_checked_once() -> None:
    # YAML reads the key `on` as true.
    triggers = {name: dict[Any, Any](read(name))[True] for name in ("check", "publish")}
    assert set(triggers["check"]) == {"pull_request", "workflow_call"}
    assert triggers["publish"]["push"] == {"branches": ["main"]}
