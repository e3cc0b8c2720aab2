"""Trainings as films: draw how each loss will go, then see it and what the heads read."""

import json
import math
from importlib.resources import files
from typing import Any

import traitlets

from cleanformer_lite.viewers.mount import Viewer, script_of, style_of, table

RECORDING = "recordings/films.json"
GROUPS = {True: "with residual", False: "no residual"}


class TrainingFilm(Viewer):
    """Recorded trainings, side by side.

    Traits: `runs`, for each training its name, its group (or ""), its losses, its maps and how far
        its heads and embeddings moved, all once a frame; `every`, steps from one frame to the next;
        `tokens`; `offsets`, how far back the task looks; `setting`, what it was recorded on;
        `drawn`, for each run the reader's curve, or nothing; `shown`, whether the losses are;
        `frame`; `group`, the one whose films are seen.

    Raises: ValueError for a frame, a group or a curve that does not fit.
    """

    _esm = script_of("training_film")
    _css = style_of("training_film")
    title = "Trainings as films"
    shown = (
        "runs", "every", "tokens", "offsets", "setting", "drawn", "revealed", "frame", "group",
    )  # fmt: skip
    runs: Any = traitlets.List().tag(sync=True)
    every = traitlets.Int().tag(sync=True)
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    offsets = traitlets.List(traitlets.Int()).tag(sync=True)
    setting = traitlets.Unicode().tag(sync=True)
    drawn: Any = traitlets.List().tag(sync=True)
    revealed = traitlets.Bool(False).tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    group = traitlets.Unicode("").tag(sync=True)

    @traitlets.validate("frame")
    def _check_frame(self, proposal: dict[str, Any]) -> int:
        frame, last = int(proposal["value"]), len(self.runs[0]["losses"]) - 1
        if not 0 <= frame <= last:
            raise ValueError(f"wanted a frame from 0 to {last}, got {frame}")
        return frame

    @traitlets.validate("group")
    def _check_group(self, proposal: dict[str, Any]) -> str:
        groups = {run["group"] for run in self.runs}
        if proposal["value"] not in groups:
            raise ValueError(f"wanted one of {sorted(groups)}, got {proposal['value']!r}")
        return str(proposal["value"])

    @traitlets.validate("drawn")
    def _check_drawn(self, proposal: dict[str, Any]) -> list[list[float]]:
        drawn, frames = proposal["value"], len(self.runs[0]["losses"])
        if len(drawn) != len(self.runs) or any(len(curve) not in (0, frames) for curve in drawn):
            raise ValueError(f"wanted {len(self.runs)} curves of {frames} losses, or of none")
        if not all(math.isfinite(loss) for curve in drawn for loss in curve):
            raise ValueError("wanted losses that are finite")
        return list(drawn)

    def static(self) -> str:
        last = len(self.runs[0]["losses"]) - 1
        frames = [0, last // 5, last // 2, last]
        lines = [
            [
                ", ".join(filter(None, (run["name"], run["group"]))),
                *(f"{run['losses'][frame]:.2f}" for frame in frames),
                *(_two_digits(run["moved"][part][last]) for part in ("heads", "embeddings")),
            ]
            for run in self.runs
        ]
        steps = [f"loss, step {frame * self.every}" for frame in frames]
        columns = ["training", *steps, "heads moved", "embeddings moved"]
        return table(f"How the trainings went. {self.setting}", columns, lines)


def watch_training(chapter: str = "registration_bug", *, ask: bool = True) -> TrainingFilm:
    """Show the recorded trainings of a chapter: `registration_bug` or `looped_heads`.

    Unless told not to `ask`, it lets its reader draw the losses before it shows them.

    Raises: ValueError for a chapter without films.

    Source: recorded by tools/record_films.py.
    """
    text = files("cleanformer_lite").joinpath(RECORDING).read_text(encoding="utf8")
    recorded = json.loads(text)
    if chapter not in recorded["films"]:
        raise ValueError(f"wanted one of {sorted(recorded['films'])}, got {chapter!r}")
    film = recorded["films"][chapter]
    many = len({run["residual"] for run in film["runs"]}) > 1
    runs = [
        {name: run[name] for name in ("name", "losses", "maps", "moved")}
        | {"group": GROUPS[run["residual"]] if many else ""}
        for run in film["runs"]
    ]
    return TrainingFilm(
        runs=runs,
        every=recorded["every"],
        tokens=[f"{at} {letter}" for at, letter in enumerate(recorded["letters"])],
        offsets=film["offsets"],
        setting=(
            f"Recorded: E = 32, Adam 0.01, seed {recorded['seed']}, {recorded['dtype']}, "
            f"{recorded['device']}, torch {recorded['torch']}, {recorded['date']}."
        ),
        drawn=[[] for _ in runs],
        revealed=not ask,
        group=runs[0]["group"],
    )


def _two_digits(amount: float | None) -> str:
    return "none" if amount is None else f"{amount:.2f}"
