"""What is packed for other places works there: tried in a clean folder."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import yaml

from cleanformer_lite.checks.grading.packing import classroom_workflow, gradescope_zip
from cleanformer_lite.cli import main
from tests.grading.handed_in import MERGE, RIGHT, WRONG


def unpacked(base: Path, *files: str) -> dict[str, object]:
    """Do what Gradescope does with the zip file, apart from installing; returns the results."""
    source = base / "source"
    with zipfile.ZipFile(io.BytesIO(gradescope_zip([MERGE], partial=True))) as archive:
        archive.extractall(source)
        script = archive.getinfo("run_autograder")
        assert script.external_attr >> 16 & 0o777 == 0o755
        assert "book" not in {name.split("/")[0] for name in archive.namelist()}
    (base / "submission").mkdir()
    for number, text in enumerate(files):
        (base / "submission" / f"part {number}.py").write_text(text)
    _command(base / "venv" / "bin" / "python", sys.executable)
    environment = {"PATH": os.environ["PATH"], "AUTOGRADER": str(base), "HOME": str(base)}
    subprocess.run(["bash", source / "run_autograder"], env=environment, cwd="/", check=True)
    told: dict[str, object] = json.loads((base / "results" / "results.json").read_text())
    return told


def _command(path: Path, does: str) -> None:
    """Write a command that does what another one does, arguments and all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {does} "$@"\n')
    path.chmod(0o755)


def check_schema(results: dict[str, object]) -> None:
    """Hold results against what Gradescope documents: a score, or tests with scores."""
    assert isinstance(results["score"], int | float)
    assert isinstance(results.get("output", ""), str)
    tests = results.get("tests", [])
    assert isinstance(tests, list)
    for test in tests:
        assert 0 <= test["score"] <= test["max_score"]
        assert test["status"] in ("passed", "failed")
        assert {type(test[key]) for key in ("name", "output")} == {str}


def test_gradescope_gets_results_for_one_learner_with_several_files(tmp_path: Path) -> None:
    results = unpacked(tmp_path, WRONG, RIGHT)
    check_schema(results)
    assert results["score"] == 2


def test_gradescope_gets_results_when_nothing_was_handed_in(tmp_path: Path) -> None:
    results = unpacked(tmp_path)
    check_schema(results)
    assert (results["score"], results["output"]) == (0, "Nothing was handed in.")


def test_gradescope_gets_results_when_grading_itself_fails(tmp_path: Path) -> None:
    (tmp_path / "graded").write_text("no folder")
    results = unpacked(tmp_path, RIGHT)
    check_schema(results)
    assert "went wrong" in str(results["output"])


def test_the_zip_file_is_the_same_each_time(tmp_path: Path) -> None:
    assert main(["gradescope", str(tmp_path / "out.zip"), "--only", MERGE, "--partial"]) == 0
    assert (tmp_path / "out.zip").read_bytes() == gradescope_zip([MERGE], partial=True)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        setup = archive.read("setup.sh").decode()
    assert subprocess.run(["bash", "-n"], input=setup, text=True, check=False).returncode == 0
    assert '"safetensors>=0.4"' in setup


def test_the_workflow_is_one_and_its_scripts_run(tmp_path: Path) -> None:
    workflow = yaml.safe_load(classroom_workflow([MERGE], "cleanformer_lite"))
    steps = workflow["jobs"]["grade"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert scripts[0] == 'pip install "cleanformer_lite"'
    (tmp_path / "answers.py").write_text(WRONG)
    _command(tmp_path / "bin" / "cleanformer-lite", f"{sys.executable} -m cleanformer_lite")
    _command(tmp_path / "bin" / "python", sys.executable)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "GITHUB_ACTOR": "ann",
        "RUNNER_TEMP": str(temporary),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    for script in scripts[1:]:
        subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True)
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("## 0 of 2 points")
    assert "merge_without_transpose" in summary
