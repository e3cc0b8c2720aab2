"""A panel to time variants with: choose sizes, run, watch the bars settle, stop when you like."""

import time
from collections.abc import Iterator
from html import escape

import torch

from cleanformer_lite.threads import one_thread
from cleanformer_lite.timing.calls import heap_for
from cleanformer_lite.timing.compare import Comparison, start_comparison
from cleanformer_lite.timing.gpu import usual_dtype
from cleanformer_lite.timing.recall import LIMIT
from cleanformer_lite.timing.recordings import find_recording
from cleanformer_lite.timing.sweep import Point, names_that_fit
from cleanformer_lite.timing.units import name_dtype
from cleanformer_lite.timing.variants import BASELINE, LOOP, Shape, build_variants, names_shown
from cleanformer_lite.viewers.controls import Controlled
from cleanformer_lite.viewers.pacer import Pacer
from cleanformer_lite.viewers.timing_explorer import explore_timings

NAMES = names_shown(same_function=True)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ROUNDS = 25
SLICE = 0.3  # seconds of measuring between two looks at the reader's clicks


class TimingPanel(Controlled):
    """Controls, a message and bars above the recorded times; a page shows these alone."""

    def __init__(self) -> None:
        import ipywidgets

        devices = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
        self.device = ipywidgets.Dropdown(options=devices, description="device")
        self.dtype = ipywidgets.Dropdown(
            options=list(DTYPES), value=name_dtype(usual_dtype(devices[0])), description="dtype"
        )
        self.batch = ipywidgets.BoundedIntText(1, min=1, max=16, description="N")
        self.length = ipywidgets.BoundedIntText(64, min=1, max=8192, description="L")
        self.width = ipywidgets.BoundedIntText(256, min=1, max=4096, description="E")
        self.heads = ipywidgets.BoundedIntText(8, min=1, max=64, description="heads")
        self.backward = ipywidgets.Checkbox(False, description="forward and backward")
        self.guess = ipywidgets.FloatSlider(
            1.0, min=0.5, max=40, step=0.5, description="loop / fused"
        )
        self.start = ipywidgets.Button(description="Run", button_style="primary")
        self.halt = ipywidgets.Button(description="Stop", disabled=True)
        self.progress = ipywidgets.IntProgress(0, min=0, max=ROUNDS, description="rounds")
        self.pacer = Pacer()
        self.picture = ipywidgets.HTML()
        sizes = ipywidgets.HBox([self.batch, self.length, self.width, self.heads])
        kinds = ipywidgets.HBox([self.device, self.dtype, self.backward])
        run = ipywidgets.HBox([self.guess, self.start, self.halt, self.progress])
        for line in (sizes, kinds, run):
            line.layout.flex_flow = "row wrap"
        super().__init__(explore_timings(), sizes, kinds, run, self.pacer, self.picture)
        self.pacer.says = "Predict how many times as long the loop takes, then run."
        self.found: Comparison | None = None
        self.start.on_click(lambda _: self.run())
        self.halt.on_click(lambda _: self.stop())

    def run(self) -> None:
        """Begin to measure what is chosen; the front end then asks for one slice after another."""
        if self.pacer.working:
            return
        self.message.value = ""
        try:
            with one_thread():
                self._prepare()
        except (ValueError, RuntimeError) as error:  # sizes that do not fit, or no memory for them
            self.pacer.says = "Nothing was measured."
            self._say(str(error))
            return
        self.start.disabled, self.halt.disabled = True, False
        self.progress.value = 0
        self.pacer.says = "Measuring."
        self.pacer.start(self._measure_slice)

    def stop(self) -> None:
        """End here; what was measured stays."""
        if self.pacer.working:
            self._end("Stopped")

    def wait(self) -> None:
        """Do all slices that are left, where no front end asks for them."""
        while self.pacer.working:
            self.pacer.work()

    def _prepare(self) -> None:
        """Build what is chosen, and see that it computes the same."""
        shape = Shape(self.batch.value, self.length.value, self.width.value, self.heads.value)
        dtype, device = DTYPES[self.dtype.value], self.device.value
        self._point = Point(shape, dtype, self.backward.value)
        names = names_that_fit(NAMES, shape, dtype.itemsize, device)
        self._missing = [name for name in NAMES if name not in names]
        self._x = torch.randn(shape.batch, shape.length, shape.embed_dim, device=device).to(dtype)
        variants = build_variants(
            names, shape.embed_dim, shape.num_heads, device=device, dtype=dtype
        )
        self._began = time.monotonic()
        self.found = None
        self._comparison, self._turns = start_comparison(
            variants, self._x, backward=self.backward.value, rounds=ROUNDS
        )

    def _measure_slice(self) -> bool:
        """Measure for a moment, show what there is, and say whether more is to be measured."""
        try:
            with one_thread(), heap_for(self._x):
                more = _advance(self._turns, SLICE)
        except RuntimeError as error:  # no memory left
            self._end("Stopped", str(error))
            return False
        done = self.progress.value = self._comparison.rounds
        if not more:
            self._end("Done")
        elif time.monotonic() - self._began > LIMIT and done:
            self._end(f"{LIMIT:.0f} s were over")
        else:
            self.pacer.says = f"{done} of {ROUNDS} rounds."
            self._show()
        return self.pacer.working

    def _end(self, reason: str, *lines: str) -> None:
        """Give the buttons back, and show what was measured."""
        self.pacer.stop()
        self.start.disabled, self.halt.disabled = False, True
        self.pacer.says = f"{reason}, after {self._comparison.rounds} of {ROUNDS} rounds."
        self._show(*lines)

    def _show(self, *lines: str) -> None:
        """Draw the bars, and say the loop's ratio beside the prediction and the recording."""
        if self._comparison.rounds == 0:
            self._say(*lines)
            return
        self.found = self._comparison
        self.picture.value = self.found._repr_html_()
        lower, median, upper = self.found.ratios(LOOP)
        missing = f"No memory for: {', '.join(self._missing)}." if self._missing else ""
        self._say(
            f"The loop takes {median:.2f} times the {BASELINE} module's time ({lower:.2f} to "
            f"{upper:.2f}); you said {self.guess.value:g}.",
            recorded_beside(self._point),
            missing,
            *lines,
        )

    def _say(self, *lines: str) -> None:
        self.message.value = "<br>".join(escape(line) for line in lines if line)


def _advance(turns: Iterator[bool], seconds: float) -> bool:
    """Take turns until the time is over; say whether there are more."""
    until = time.monotonic() + seconds
    return any(time.monotonic() >= until for _ in turns)


def recorded_beside(point: Point) -> str:
    """Say what was recorded on a GPU at these sizes, or that nothing was."""
    recording = find_recording("cuda")
    if recording is None:
        return "On a GPU: not measured, no recording yet."
    ratios = [
        f"{row.variant} {row.ratio.median:.2f}"
        for row in recording.times
        if row.variant in NAMES and row.stands_at(point)
    ]
    if not ratios:
        return f"On {recording.birth.device}: not measured at these sizes."
    return f"Relative to {BASELINE}, recorded on {recording.birth}: {', '.join(ratios)}."


def time_here() -> TimingPanel:
    """Show controls to time the variants here and now; on a page without kernel, recorded times."""
    return TimingPanel()
