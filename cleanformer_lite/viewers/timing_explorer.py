"""Recorded times on one chart: guess, reveal, then pick heads, length and direction."""

from typing import Any

import traitlets

from cleanformer_lite.timing.recordings import Recording, find_recording
from cleanformer_lite.timing.sweep import Row
from cleanformer_lite.timing.units import in_bytes, in_time
from cleanformer_lite.timing.variants import BASELINE, LOOP, names_shown
from cleanformer_lite.viewers.mount import Viewer, script_of, table

NONE_YET = "Not measured: there is no recording to show yet."


class TimingExplorer(Viewer):
    """A line of recorded times for each variant over the number of heads, above the floor.

    Traits: `times`, for each direction, length and number of heads a list of variants, each with
        `name`, `seconds` and the same as text, `time`, `ratio` as lower quartile, median and upper
        quartile, `operators`, `memory` in bytes, `floor` in seconds and `floors`, its time relative
        to that; `names` of all variants, the `baseline` and the `loop` among them; `lengths` and
        `heads`, what there is to pick; `direction`, `length` and `head_count`, what is picked;
        `guess`, how many times as long the reader thinks that the loop takes, or 0; `revealed`;
        `source`, what it was recorded on.

    Raises: ValueError for a length or a number of heads that was not recorded.
    """

    _esm = script_of("timing_explorer")
    title = "Times recorded, to pick from"
    shown = (
        "times", "names", "baseline", "loop", "lengths", "heads", "direction", "length",
        "head_count", "guess", "revealed", "source",
    )  # fmt: skip
    times: Any = traitlets.Dict().tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    baseline = traitlets.Unicode(BASELINE).tag(sync=True)
    loop = traitlets.Unicode(LOOP).tag(sync=True)
    lengths = traitlets.List(traitlets.Int()).tag(sync=True)
    heads = traitlets.List(traitlets.Int()).tag(sync=True)
    direction = traitlets.Enum(["forward", "forward and backward"], "forward").tag(sync=True)
    length = traitlets.Int().tag(sync=True)
    head_count = traitlets.Int().tag(sync=True)
    guess = traitlets.Float(0.0).tag(sync=True)
    revealed = traitlets.Bool(False).tag(sync=True)
    source = traitlets.Unicode().tag(sync=True)

    @traitlets.validate("length", "head_count")
    def _check_picked(self, proposal: dict[str, Any]) -> int:
        recorded = self.lengths if proposal["trait"].name == "length" else self.heads
        if proposal["value"] not in recorded:
            raise ValueError(f"wanted one of the recorded {recorded}, got {proposal['value']}")
        return int(proposal["value"])

    def static(self) -> str:
        columns = ["length, heads", *names_shown()[1:]]
        lines = []
        for key, variants in self.times.items():
            direction, length, heads = key.split("|")
            if direction == "forward":
                ratio = {one["name"]: f"{one['ratio'][1]:.2f}" for one in variants}
                cells = [ratio.get(name, "not measured") for name in columns[1:]]
                lines.append([f"{length}, {heads}", *cells])
        return table(
            f"Time relative to the {BASELINE} module's, forward. {self.source}", columns, lines
        )


def explore_timings(recording: Recording | None = None) -> TimingExplorer:
    """Show a recording of times, a GPU's if there is one and a CPU's otherwise.

    Raises: ValueError, saying what is missing, if there is no recording, or none of one sequence at
        several lengths.
    """
    gpu = find_recording("cuda")
    recording = recording or gpu or find_recording("cpu")
    if recording is None:
        raise ValueError(NONE_YET)
    width = max(
        {row.embed_dim for row in recording.times},
        key=lambda e: sum(row.embed_dim == e for row in recording.times),
    )
    usual = max(
        {row.dtype for row in recording.times},
        key=lambda dtype: sum(row.dtype == dtype for row in recording.times),
    )
    chosen = [
        row
        for row in recording.times
        if (row.batch, row.embed_dim, row.dtype) == (1, width, usual)
        and row.variant in names_shown()
    ]
    times: dict[str, list[dict[str, Any]]] = {}
    for row in chosen:
        direction = "forward and backward" if row.backward else "forward"
        times.setdefault(f"{direction}|{row.length}|{row.num_heads}", []).append(as_shown(row))
    lengths = sorted({row.length for row in chosen})
    heads = sorted({row.num_heads for row in chosen})
    return TimingExplorer(
        times=times,
        names=list(names_shown()),
        lengths=lengths,
        heads=heads,
        length=lengths[0],
        head_count=heads[len(heads) // 2],
        source=f"One sequence, E = {width}, {usual}. Recorded on {recording.birth}.",
    )


def as_shown(row: Row) -> dict[str, Any]:
    """Put down what the picture says of one variant."""
    return {
        "name": row.variant,
        "seconds": float(f"{row.time.median:.3g}"),
        "floor": None if row.floor is None else float(f"{row.floor:.3g}"),
        "time": in_time(row.time.median),
        "ratio": [float(f"{part:.3g}") for part in row.ratio],
        "operators": row.operators,
        "memory": in_bytes(row.peak_memory or 0),
        "floors": None if row.floor is None else float(f"{row.time.median / row.floor:.2g}"),
    }
