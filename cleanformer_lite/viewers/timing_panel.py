"""A panel to time variants with: choose sizes, run, watch the bars settle, stop when you like."""

import io
import threading
from html import escape

import torch

from cleanformer_lite.timing.compare import Comparison, compare
from cleanformer_lite.timing.pictures import plot_comparison
from cleanformer_lite.timing.recordings import find_recording
from cleanformer_lite.timing.sweep import Point
from cleanformer_lite.timing.variants import Shape, build_variants, names_shown
from cleanformer_lite.viewers.controls import Controlled
from cleanformer_lite.viewers.timing_explorer import explore_timings

NAMES = names_shown(same_function=True)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ROUNDS = 25
EVERY = 5  # rounds from one drawing to the next


class TimingPanel(Controlled):
    """Controls, a message and a picture above the recorded times; a page shows these alone."""

    def __init__(self) -> None:
        import ipywidgets

        devices = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
        self.device = ipywidgets.Dropdown(options=devices, description="device")
        self.dtype = ipywidgets.Dropdown(options=list(DTYPES), description="dtype")
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
        self.picture = ipywidgets.Image(
            format="png", layout={"display": "none", "max_width": "640px"}
        )
        sizes = ipywidgets.HBox([self.batch, self.length, self.width, self.heads])
        kinds = ipywidgets.HBox([self.device, self.dtype, self.backward])
        run = ipywidgets.HBox([self.guess, self.start, self.halt, self.progress])
        for row in (sizes, kinds, run):
            row.layout.flex_flow = "row wrap"
        super().__init__(explore_timings(), sizes, kinds, run, self.picture)
        self.message.value = "Predict how many times as long the loop takes, then run."
        self.found: Comparison | None = None
        self._stopped = threading.Event()
        self._work: threading.Thread | None = None
        self.start.on_click(lambda _: self.run())
        self.halt.on_click(lambda _: self.stop())

    def run(self) -> None:
        """Begin to measure in the background, so that the kernel still hears "Stop"."""
        if self._work is not None and self._work.is_alive():
            return
        self._stopped.clear()
        self.start.disabled, self.halt.disabled = True, False
        self._work = threading.Thread(target=self._measure, daemon=True)
        self._work.start()

    def stop(self) -> None:
        """End after the round that is running; what was measured stays."""
        self._stopped.set()

    def wait(self) -> None:
        """Wait until the measuring has ended."""
        if self._work is not None:
            self._work.join()

    def _measure(self) -> None:
        try:
            self._measure_rounds()
        except (ValueError, RuntimeError) as error:  # sizes that do not fit, or no memory for them
            self._say(str(error))
        finally:
            self.start.disabled, self.halt.disabled = False, True

    def _measure_rounds(self) -> None:
        shape = Shape(self.batch.value, self.length.value, self.width.value, self.heads.value)
        dtype, device = DTYPES[self.dtype.value], self.device.value
        point = Point(shape, dtype, self.backward.value)
        x = torch.randn(shape.batch, shape.length, shape.embed_dim, device=device).to(dtype)
        variants = build_variants(
            NAMES, shape.embed_dim, shape.num_heads, device=device, dtype=dtype
        )
        self.progress.value = 0

        def watch(found: Comparison) -> bool:
            done = self.progress.value = len(found.seconds[found.baseline])
            if done % EVERY == 0:
                self._show(found, point)
            return self._stopped.is_set()

        found = compare(variants, [x], backward=self.backward.value, rounds=ROUNDS, watch=watch)
        self._show(found, point)

    def _show(self, found: Comparison, point: Point) -> None:
        """Draw the bars, and say the loop's ratio beside the prediction and the recording."""
        self.found = found
        drawn = io.BytesIO()
        plot_comparison(found).savefig(drawn, format="png", dpi=110)
        self.picture.value = drawn.getvalue()
        self.picture.layout.display = ""
        lower, median, upper = found.ratios("looped")
        self._say(
            f"The loop takes {median:.2f} times the fused module's time ({lower:.2f} to "
            f"{upper:.2f}); you said {self.guess.value:g}. Measured: {found.setting}",
            recorded_beside(point),
        )

    def _say(self, *lines: str) -> None:
        self.message.value = "<br>".join(escape(line) for line in lines)


def recorded_beside(point: Point) -> str:
    """Say what was recorded on a GPU at these sizes, or that nothing was."""
    recording = find_recording("cuda")
    if recording is None:
        return "On a GPU: not measured, no recording yet."
    ratios = [
        f"{row.variant} {row.ratio.median:.2f}"
        for row in recording.rows
        if row.variant in NAMES and row.stands_at(point)
    ]
    if not ratios:
        return f"On {recording.birth.device}: not measured at these sizes."
    return f"Times fused, recorded on {recording.birth}: {', '.join(ratios)}."


def time_here() -> TimingPanel:
    """Show controls to time the variants here and now; on a page without kernel, recorded times."""
    return TimingPanel()
