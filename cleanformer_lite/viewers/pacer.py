"""Long work in short slices, each asked for by the front end, so that "Stop" is heard between.

A kernel hears nothing while it works, and a front end such as Colab's shows nothing that is sent by
a thread in the background. Here each slice is the answer to a message of its own.
"""

from collections.abc import Callable

import anywidget
import traitlets

from cleanformer_lite.viewers.mount import STYLE, script_of


class Pacer(anywidget.AnyWidget):
    """A line of status that keeps the kernel working, slice by slice.

    Traits: `done`, how many slices are; `asked`, for how many the front end has seen the end; it
    asks for the next by setting this. `says`, the line.
    """

    _esm = script_of("pacer")
    _css = STYLE
    done = traitlets.Int(0).tag(sync=True)
    asked = traitlets.Int(0).tag(sync=True)
    says = traitlets.Unicode().tag(sync=True)
    shown = ("done", "asked", "says")

    def __init__(self) -> None:
        super().__init__()
        self._work: Callable[[], bool] | None = None
        self.observe(self._hear, names="asked")

    @property
    def working(self) -> bool:
        """Say whether there is work to do."""
        return self._work is not None

    def start(self, work: Callable[[], bool]) -> None:
        """Take up work: `work()` does one slice of it, and says whether more is to be done."""
        self._work = work
        self.done += 1

    def stop(self) -> None:
        """Drop what is left of the work; a slice that was asked for finds nothing to do."""
        self._work = None

    def _hear(self, change: dict[str, int]) -> None:
        if change["new"] == self.done:  # else it asks for work that was stopped meanwhile
            self.work()

    def work(self) -> None:
        """Do one slice, and let the front end ask for the next."""
        if self._work is not None and not self._work():
            self._work = None
        if self._work is not None:
            self.done += 1
