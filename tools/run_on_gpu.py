"""The day there is a GPU: run the tests that wait for one, record times, run all notebooks.

Usage: python tools/run_on_gpu.py, some twenty minutes on a GPU. At the end it prints what to look
at before the recording is committed. Without a GPU it rehearses the same steps on the CPU, with two
points of the recording, and leaves the recordings as they are.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from cleanformer_lite.timing.gpu import describe_card, device_seconds, usual_dtype
from cleanformer_lite.timing.recordings import FOLDER, Recording, file_for
from cleanformer_lite.timing.sweep import Row
from cleanformer_lite.timing.units import Quartiles, in_time, this_machine
from cleanformer_lite.timing.variants import BASELINE, LOOP

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "_build" / "gpu"
REHEARSAL = ["--points", "2", "--no-compile"]
CHECKED_TWICE = """\
Look at the numbers twice, then commit the recording, and write into the closing sections of the
chapters what it says: launches beside occupancy, where loop and split meet, what fusing is worth,
and paper beside measurement. The executed notebooks are in {folder}."""


def main() -> int:
    """Take all steps, and say what each found; returns 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="these only (default: all)")
    chosen = parser.parse_args()
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"1. {this_machine(torch.device(kind))}")
    print("   " + (f"{describe_card(kind, usual_dtype(kind))}" if kind == "cuda" else
                   "There is no GPU here: this is a rehearsal on the CPU."))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        target = FOLDER if kind == "cuda" else Path(folder)
        good = [run_tests(), record(kind, target)]
        print("4. Notebooks:", flush=True)
        good += [
            run_notebook(path) for path in chosen.notebooks or sorted(ROOT.glob("book/*.ipynb"))
        ]
        print("5. What to look at:")
        print(*(f"   {line}" for line in findings(kind, file_for(kind, target))), sep="\n")
    print(CHECKED_TWICE.format(folder=BUILT.relative_to(ROOT)))
    return 0 if all(good) else 1


def run_tests() -> bool:
    """Run the tests of timing: those that need a GPU are among them, and are skipped without."""
    print("2. Tests of timing:", flush=True)
    command = [sys.executable, "-m", "pytest", "-rs", "tests/timing/test_gpu.py"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def record(kind: str, folder: Path) -> bool:
    """Record the times, as the documented command does."""
    print("3. Recording times:", flush=True)
    command = [sys.executable, "tools/record_timings.py", "--device", kind]
    if kind == "cpu":
        command += [*REHEARSAL, "--folder", str(folder)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def run_notebook(path: Path) -> bool:
    """Run one notebook elsewhere than in the repository, and keep what it printed."""
    BUILT.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    began, said = time.monotonic(), "ran"
    with tempfile.TemporaryDirectory() as elsewhere:
        client = NotebookClient(
            notebook, timeout=1800, kernel_name="python3",
            resources={"metadata": {"path": elsewhere}},
        )  # fmt: skip
        try:
            client.execute()
        except CellExecutionError as error:
            said = f"FAILED: {str(error).strip().splitlines()[-1]}"
    nbformat.write(notebook, BUILT / path.name)  # type: ignore[no-untyped-call]
    missing = str(notebook).count("Not measured")
    print(f"   {path.stem:24} {said}, {time.monotonic() - began:.0f} s, "
          f"{missing} times \"Not measured\"", flush=True)  # fmt: skip
    return said == "ran"


def findings(kind: str, path: Path) -> Iterator[str]:
    """Say the numbers that are to be believed or not."""
    if not path.exists():
        yield "no recording was written"
        return
    times = Recording.load(path).times
    yield f"{len(times)} times in {path.name}; rates: {Recording.load(path).rates}"
    if kind == "cuda":
        empty = Quartiles.of(device_seconds(_nothing, 15))
        yield f"an empty graph takes {empty}: next to nothing, or the cache is flushed too little"
        yield from _launches(times)
    yield "kernels: " + ", ".join(sorted({f"{row.variant}: {row.kernel}" for row in times}))
    yield from _best(times, "the loop's time relative to fused is largest", LOOP, max)
    yield from _best(times, "and smallest", LOOP, min)
    below = [row for row in times if row.floor and row.time.median < row.floor]
    yield f"{len(below)} rows lie below their floor: a rate is measured too low where there are any"
    spread = max(times, key=lambda row: row.ratio.upper - row.ratio.lower, default=None)
    if spread is not None:
        lower, _, upper = spread.ratio
        yield f"widest spread of a ratio: {lower:.2f} to {upper:.2f} ({_at(spread)})"


def _nothing() -> None:
    """Launch no kernel."""


def _launches(times: list[Row]) -> Iterator[str]:
    """Set launches beside operators: one operator launches one kernel, seldom more."""
    for name in (BASELINE, LOOP):
        pairs = {(r.operators, r.launches) for r in times if r.variant == name and not r.backward}
        yield f"{name}, forward, (operators, launches): {sorted(pairs, key=str)}"
    waiting = [row for row in times if row.device_time is not None]
    for row in waiting[:2]:
        assert row.device_time is not None
        alone = in_time(row.device_time.median)
        yield f"{_at(row)}: wall {in_time(row.time.median)}, GPU alone {alone}"


def _best(
    times: list[Row], text: str, name: str, choose: Callable[..., Row | None]
) -> Iterator[str]:
    """Name the row at which a variant's ratio is at an end."""
    found = choose(
        (row for row in times if row.variant == name and not row.backward),
        key=lambda row: row.ratio.median,
        default=None,
    )
    if found is not None:
        yield f"{text}: {found.ratio.median:.2f} at {_at(found)}"


def _at(row: Row) -> str:
    direction = "forward and backward" if row.backward else "forward"
    sizes = f"N={row.batch}, L={row.length}, E={row.embed_dim}, H={row.num_heads}"
    return f"{row.variant}, {sizes}, {row.dtype}, {direction}"


if __name__ == "__main__":
    sys.exit(main())
