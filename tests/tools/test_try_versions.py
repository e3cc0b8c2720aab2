import re
from pathlib import Path

from try_versions import TOOLS, lowest_versions, pins_of_tools

ROOT = Path(__file__).resolve().parents[2]


def test_each_bound_becomes_a_pin() -> None:
    text = """
[build-system]
requires = ["builds-us>=77"]
[project]
dependencies = ["torch>=2.6"]
[project.scripts]
[project.optional-dependencies]
book = ["a-b>=0.9.9", "c>=7"]
other = ["c>=7"]
[tool.x]
"d>=1"
"""
    assert lowest_versions(text) == ["a-b==0.9.9", "c==7", "torch==2.6"]


def test_no_requirement_of_ours_is_without_a_bound() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    pins = dict(pin.split("==") for pin in lowest_versions(project))
    assert pins["anywidget"] == "0.9.9"  # 0.9.8 fails with ipywidgets 7, which Colab has
    named = re.findall(r'"([a-z]+)[>"]', project.split("[project]")[1].split("[tool.")[0])
    assert {"torch", "numpy", "bertviz", "distributed"} <= set(pins)
    assert set(named) - {"version"} == set(pins)


def test_tools_are_those_that_the_book_is_tested_with() -> None:
    pins = pins_of_tools((ROOT / "requirements.txt").read_text())
    assert {pin.split("==")[0] for pin in pins} == TOOLS
    assert pins_of_tools("pytest==1.2  # why\ntorch==2") == ["pytest==1.2"]
