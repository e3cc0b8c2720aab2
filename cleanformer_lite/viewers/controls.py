"""Controls above a viewer for what needs Python: your own sentence, other sizes, your own module.

They stand in live notebooks only. A page without a kernel shows the viewer alone.
"""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from torch import Tensor, nn

from cleanformer_lite.viewers.head_explorer import HeadExplorer
from cleanformer_lite.viewers.index_tracer import MOST, IndexTracer
from cleanformer_lite.viewers.module_xray import ModuleXray
from cleanformer_lite.viewers.mount import Viewer

WIDGET = "application/vnd.jupyter.widget-view+json"
LONG = {"description_width": "initial"}
WIDE = {"width": "28em", "max_width": "100%"}
ROW = {"flex_flow": "row wrap"}


class Controlled:
    """A viewer under its controls where there is a kernel, the viewer alone where there is none."""

    def __init__(self, viewer: Viewer, *controls: Any) -> None:
        from ipywidgets import HTML, VBox

        self.viewer, self.controls = viewer, controls
        self.message = HTML()
        self.box = VBox([*controls, self.message, viewer])

    def attempt(self, act: Callable[[], object]) -> None:
        """Do what a control asks; if that raises, say so beside it and leave the viewer as it was.

        What a reader typed may raise anything, and a notebook would hide it in a log.
        """
        try:
            act()
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            self.message.value = f'<p role="alert">{escape(text)}</p>'
        else:
            self.message.value = ""

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = self.viewer._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, WIDGET: {**data[WIDGET], "model_id": self.box.model_id}}, metadata


def with_sentence(
    explorer: HeadExplorer, read: Callable[[str], Any], *, label: str = "Your sentence"
) -> Controlled:
    """Put a box above a head explorer; what is typed there goes through `read` and is shown.

    Shapes: `read(text)` returns what `explore_heads` takes: `(weights, tokens)`, `(weights,
        tokens, key_tokens)`, or groups by their names.
    """
    from ipywidgets import Text

    box = Text(
        description=f"{label}:",
        placeholder="then Enter",
        continuous_update=False,
        style=LONG,
        layout=WIDE,
    )
    shown = Controlled(explorer, box)

    def read_it() -> None:
        given = read(box.value)
        explorer.show(*(given if isinstance(given, tuple) else (given,)))

    box.observe(lambda _: shown.attempt(read_it), names="value")
    return shown


def with_sizes(tracer: IndexTracer) -> Controlled:
    """Put sliders for N, L, E and H above an index tracer; what does not fit is told there."""
    from ipywidgets import HBox, IntSlider

    most = {"N": MOST["N"], "L": MOST["L"], "E": MOST["H"] * MOST["D"], "H": MOST["H"]}
    sliders = [
        IntSlider(size, min=1, max=most[axis], description=axis, style=LONG)
        for axis, size in zip(most, slid(tracer), strict=True)
    ]
    shown = Controlled(tracer, HBox(sliders, layout=ROW))

    def resize() -> None:
        batch, length, embed_dim, heads = (slider.value for slider in sliders)
        if embed_dim % heads:
            raise ValueError(
                f"wanted E that H divides, got E = {embed_dim} and H = {heads}; "
                "the picture stays as it was"
            )
        tracer.sizes = [batch, length, heads, embed_dim // heads]

    def on_slide(_: object) -> None:
        shown.attempt(resize)

    def follow(_: object) -> None:
        # The viewer has sizes of its own to pick; one slider set after another is no wish.
        for slider, size in zip(sliders, slid(tracer), strict=True):
            slider.unobserve(on_slide, names="value")
            slider.value = size
            slider.observe(on_slide, names="value")

    follow(None)
    tracer.observe(follow, names="sizes")
    return shown


def slid(tracer: IndexTracer) -> list[int]:
    """Return the sizes N, L, E, H that the sliders show."""
    batch, length, heads, width = tracer.sizes
    return [batch, length, heads * width, heads]


def with_module(viewer: ModuleXray, example: Tensor, namespace: Mapping[str, Any]) -> Controlled:
    """Put a box above an X-ray; the module named or built there is asked beside the others.

    Shapes: example as `module(example)` takes it; namespace, where names are looked up, as
        `globals()` of the notebook.
    """
    from ipywidgets import Button, Combobox, HBox

    box = Combobox(
        description="Your module:",
        placeholder="a name, or MyHeads(12, 3)",
        options=modules_in(namespace),
        continuous_update=False,
        style=LONG,
        layout=WIDE,
    )
    again = Button(description="Ask its layers")
    shown = Controlled(viewer, HBox([box, again], layout=ROW))

    def ask() -> None:
        box.options = modules_in(namespace)
        if box.value.strip():
            viewer.add(box.value, module_of(box.value, namespace), example)

    box.observe(lambda _: shown.attempt(ask), names="value")
    again.on_click(lambda _: shown.attempt(ask))
    return shown


def modules_in(namespace: Mapping[str, Any]) -> list[str]:
    """List the names of modules among what a notebook has defined."""
    return [
        name
        for name, value in namespace.items()
        if isinstance(value, nn.Module) and not name.startswith("_")
    ]


def module_of(text: str, namespace: Mapping[str, Any]) -> nn.Module:
    """Evaluate what the reader typed, as a cell of the notebook would.

    Raises: ValueError if it is no module; whatever the text itself raises.
    """
    found = eval(text, dict(namespace))
    if isinstance(found, type):
        raise ValueError(f"wanted a module, got the class {found.__name__}: call it with its sizes")
    if not isinstance(found, nn.Module):
        raise ValueError(f"wanted a module, got {type(found).__name__}")
    return found
