"""Measure every variant over heads, lengths, batches and dtypes, and keep the times in a file.

Usage: python tools/record_timings.py, about ten minutes on one CPU thread, and the same command on
a GPU. The file is cleanformer_lite/recordings/timing-<device>.json. Interrupt it at any moment:
what was measured until then is written.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

# Read by torch when it is imported: what was compiled before would make compiling look quick.
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"

import torch
from tqdm import tqdm

from cleanformer_lite.timing.gpu import describe_card, usual_dtype
from cleanformer_lite.timing.paper import Rates, floor_seconds, measure_rates
from cleanformer_lite.timing.recordings import FOLDER, Birth, Recording, file_for
from cleanformer_lite.timing.sweep import Point, Row, names_that_fit, sweep
from cleanformer_lite.timing.units import name_dtype, this_machine
from cleanformer_lite.timing.variants import COMPILED, VARIANTS, Shape, names_that_differ

HEADS = (1, 2, 4, 8, 16, 32)
LENGTHS = {"cpu": (64, 256, 1024), "cuda": (64, 256, 1024, 2048, 4096, 8192)}
WIDTH = {"cpu": 256, "cuda": 1024}
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
BATCHES = (2, 4, 8, 16)
SECONDS_A_POINT, FEWEST, MOST = 6, 9, 25
ROOT = Path(__file__).resolve().parent.parent


def points_for(kind: str) -> list[Point]:
    """List the points: heads by length, batches, dtypes, and a problem that is all launching."""
    width, usual = WIDTH[kind], usual_dtype(kind)
    points = []
    for backward in (False, True):
        points += [
            Point(Shape(1, length, width, heads), usual, backward)
            for length in LENGTHS[kind]
            for heads in HEADS
        ]
        points += [Point(Shape(batch, 256, width, 8), usual, backward) for batch in BATCHES]
        points += [
            Point(Shape(1, 256, width, 8), dtype, backward) for dtype in DTYPES if dtype != usual
        ]
        points += [Point(Shape(1, 16, 64, heads), usual, backward) for heads in HEADS]
    return points


def names_at(point: Point, kind: str, compiling: bool) -> list[str]:
    """Leave out what would not fit into memory at this point; put in what is to be compiled."""
    names = names_that_fit(list(VARIANTS), point.shape, point.dtype.itemsize, kind)
    other = names_that_differ(names)
    return names + [name + COMPILED for name in names if compiling and name not in other]


def compiled_points(kind: str) -> list[Point]:
    """List the few points at which the compiled variants are timed: each compiles anew."""
    lengths = LENGTHS[kind][0], LENGTHS[kind][2]
    return [
        Point(Shape(1, length, WIDTH[kind], 8), usual_dtype(kind), backward)
        for length in lengths
        for backward in (False, True)
    ]


def rounds_at(point: Point, rates: Rates) -> int:
    """Take many rounds where a call is short, and fewer where all of them would take minutes."""
    least = floor_seconds(point.shape, rates, point.dtype.itemsize, backward=point.backward)
    return max(FEWEST, min(MOST, round(SECONDS_A_POINT / (len(VARIANTS) * 4 * least))))


def measure_all(kind: str, rates: dict[str, Rates], compiling: bool, most: int | None) -> list[Row]:
    """Measure point after point until all are done, or `most`, or somebody interrupts."""
    also = compiled_points(kind) if compiling else []
    points = points_for(kind)[:most]
    todo = [(point, names_at(point, kind, point in also)) for point in points]
    rows: list[Row] = []
    try:
        for point, names in tqdm(todo, desc="points", mininterval=5):
            rounds = rounds_at(point, rates[name_dtype(point.dtype)])
            found = measure_point(point, names, rates, kind, rounds)
            rows += found
            if found and found[0].rounds < rounds:
                raise KeyboardInterrupt  # `compare` kept what it had, and ended early
    except KeyboardInterrupt:
        print(f"stopped; {len(rows)} rows are kept", file=sys.stderr)
    return rows


def measure_point(
    point: Point, names: list[str], rates: dict[str, Rates], kind: str, rounds: int
) -> list[Row]:
    """Measure one point. If that fails, say why, and try without what is compiled."""
    for some in (names, [name for name in names if not name.endswith(COMPILED)]):
        try:
            return next(sweep([point], some, rates, device=kind, rounds=rounds))
        except RuntimeError as error:  # no memory left, or nothing that the compiler can do
            print(f"{point}: {str(error).splitlines()[0]}", file=sys.stderr)
    return []


def commit() -> str:
    """Name the commit that is measured, and say so if files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def birth(kind: str) -> Birth:
    """Say where, with what and when the times are measured."""
    return Birth(
        **asdict(this_machine(torch.device(kind))),
        **describe_card(kind, usual_dtype(kind)),
        kind=kind,
        commit=commit(),
        command=" ".join(["python", "tools/record_timings.py", *sys.argv[1:]]),
    )


def main() -> None:
    """Measure, and write the file that the pages read."""
    parser = argparse.ArgumentParser(description=__doc__)
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=usual)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--points", type=int, help="only the first so many, for a rehearsal")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write the file")
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("wanted a GPU for --device cuda, got none on this machine")
    torch.set_num_threads(1)
    kind = chosen.device
    born = birth(kind)  # before anything is measured: the commit may be another one afterwards
    rates = {name_dtype(dtype): measure_rates(kind, dtype) for dtype in DTYPES}
    rows = measure_all(kind, rates, not chosen.no_compile, chosen.points)
    path = file_for(kind, chosen.folder)
    Recording(born, rates, rows).save(path)
    print(f"{len(rows)} rows in {path}")


if __name__ == "__main__":
    main()
