"""Grading on several workers gives what grading here gives, and a killed worker loses nothing."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cleanformer_lite.checks.grading.executors import DaskExecutor
from cleanformer_lite.checks.grading.grade import grade_folder
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.runner import Runner
from tests.grading.handed_in import EXITS, MERGE, RIGHT, WRONG
from tests.grading.running import grade

LIMITS = Limits(seconds=5, memory=1024)


@pytest.mark.filterwarnings("ignore")
def test_two_dask_workers_give_the_rows_of_a_local_run_though_one_is_killed(
    tmp_path: Path, runner: Runner
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        text = (RIGHT, WRONG, EXITS)[number % 3].replace("x", f"x{number}", 0)
        (folder / f"{number:02}.py").write_text(f"{text}\nlast = {number}\n")
    here = grade(folder, tmp_path / "here", runner, seed=1).results
    executor = DaskExecutor(LIMITS, jobs=2)
    killed: list[int] = []

    def kills_a_worker(done: Iterable[Any], total: int, what: str) -> Iterator[Any]:
        for number, item in enumerate(done):
            if what == "files graded" and number == 1:
                pids = executor.client.run(os.getpid)
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)
            yield item

    try:
        there = grade_folder(
            folder, tmp_path / "there", executor, exercises=[MERGE], seed=1, progress=kills_a_worker
        ).results
    finally:
        executor.close()
    assert killed
    assert _without_costs(there) == _without_costs(here)
    assert [result.status for result in there] == ["passed", "failed", "crashed"] * 4
    _until_no_worker_is_left(killed[0])


def _without_costs(results: Iterable[Any]) -> list[dict[str, Any]]:
    costs = {"cpu_seconds", "peak_kib"}
    return [{k: v for k, v in r.as_dict().items() if k not in costs} for r in results]


def _until_no_worker_is_left(worker: int) -> None:
    """A killed worker's own processes go with it."""
    for _ in range(100):
        if not any(_is_child_of(path, worker) for path in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.1)
    pytest.fail("a killed worker left a process behind")


def _is_child_of(path: Path, parent: int) -> bool:
    try:
        return path.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1] == str(parent)
    except OSError:
        return False
