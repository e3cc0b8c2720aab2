"""A translator of Korean dates that works in the page: switch heads off, read what it writes.

The page computes: its weights stand in it, six bits each, made from the model when it is built. In
a live notebook Python may compute instead, with the model as it is.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import traitlets

from cleanformer_lite.registration_bug import HeadsBuiltInForward
from cleanformer_lite.split_heads import SplitMultiHeadAttention
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.korean_dates import (
    FIRST,
    LAST,
    ROMANISED,
    in_english,
    in_korean,
    romanise,
)
from cleanformer_lite.translation.looking_inside import number_of_heads
from cleanformer_lite.translation.one_line import check_heads, write_line
from cleanformer_lite.translation.six_bits import as_letters
from cleanformer_lite.translation.swap_attention import swap_attention
from cleanformer_lite.translation.vocabulary import END, NUMBERS, PIECES, english_pieces
from cleanformer_lite.viewers.mount import STYLE, Viewer, script_of, table

MOST_WEIGHTS = 1_000_000  # a letter each, in every page that shows them
DAYS = 200  # held-out days that the page can pick from
DAY = datetime.date(2026, 11, 23)
AGAIN = "Its heads were drawn for this line alone: write it again, and other heads are drawn."
NOTHING = "It reads nothing, so it writes this line whatever the date is; no weights are needed."


class LiveTranslator(Viewer):
    """One or more translators of Korean dates, computed by the page.

    A page brings the weights of the first model along. Those of the others it loads when they are
    chosen, if the models have a `file`: a page of all of them would be slow to load. What stands in
    `in_python` is asked where there is a kernel.

    Traits: `models`, for each its `kind`, sizes, weights and what it loses without a head, or the
        one line that it `writes`; `pieces` and `romanised`, the vocabulary; `days` to pick from;
        `day`, as 2026-11-23; `kind`, the model that writes; `off`, the heads switched off, as
        "decoder 0/1"; `piece`, the one whose lines are drawn; `may_go`, the groups of heads that
        the reader thinks can go, and `revealed`, whether the costs are shown; `small`, whether the
        heads are left out; `asked`, what Python is to translate, a `kind`, a `day`, the heads `off`
        and a count; `answer`, what it wrote, and `to` which question; `live`, whether it can.

    Raises: ValueError for a day that the corpus does not have, or a model that is not there.
    """

    _esm = script_of("thumbnail", "date_translator", "live_translator")
    _css = STYLE + (Path(__file__).parent / "live_translator.css").read_text(encoding="utf8")
    title = "A translator of dates, head by head"
    shown = (
        "models", "pieces", "romanised", "days", "days_asked", "day", "kind", "off", "piece",
        "may_go", "revealed", "small", "asked", "answer", "live",
    )  # fmt: skip
    models: Any = traitlets.List().tag(sync=True)
    pieces = traitlets.List(traitlets.Unicode(), PIECES).tag(sync=True)
    romanised: Any = traitlets.Dict(ROMANISED).tag(sync=True)
    days = traitlets.List(traitlets.Unicode()).tag(sync=True)
    days_asked = traitlets.Int(0).tag(sync=True)
    day = traitlets.Unicode(DAY.isoformat()).tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)
    off = traitlets.List(traitlets.Unicode()).tag(sync=True)
    piece = traitlets.Int(0).tag(sync=True)
    may_go = traitlets.List(traitlets.Unicode()).tag(sync=True)
    revealed = traitlets.Bool(False).tag(sync=True)
    small = traitlets.Bool(False).tag(sync=True)
    asked: Any = traitlets.Dict().tag(sync=True)
    answer: Any = traitlets.Dict().tag(sync=True)
    live = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self, *, in_python: Mapping[str, Transformer] | None = None, **traits: Any
    ) -> None:
        self.in_python = dict(in_python or {})
        super().__init__(**traits)

    @traitlets.observe("asked")
    def _translate(self, change: dict[str, Any]) -> None:
        self.answer = self.answer_to(change["new"])

    def answer_to(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Let a model of `in_python` translate; what goes wrong is told, not raised."""
        try:
            heads = [key.rsplit("/", 1) for key in asked["off"]]
            written = write_line(
                self.in_python[asked["kind"]],
                in_korean(check_day(asked["day"])),
                [(name, int(head)) for name, head in heads],
            )
        except Exception as error:  # a notebook would hide it in a log
            return {"to": asked, "problem": f"{type(error).__name__}: {error}"}
        return {"to": asked, **written}

    @traitlets.validate("day")
    def _check_day(self, proposal: dict[str, Any]) -> str:
        return check_day(proposal["value"]).isoformat()

    @traitlets.validate("kind")
    def _check_kind(self, proposal: dict[str, Any]) -> str:
        kinds = [model["kind"] for model in self.models]
        if proposal["value"] not in kinds:
            raise ValueError(f"wanted one of {', '.join(kinds)}, got {proposal['value']!r}")
        return str(proposal["value"])

    def page_state(self) -> dict[str, Any]:
        first, *others = self.models
        given = [*self.models] if self.small else [{**first, "file": ""}, *others]
        models = [
            {name: value for name, value in model.items() if name != "weights" or not model["file"]}
            for model in given
        ]
        state = {**super().page_state(), "models": models, "live": False}
        if self.kind in self.in_python:  # what a page without a kernel can show
            asked = {"kind": self.kind, "day": self.day, "off": self.off, "turn": 0}
            state |= {"asked": asked, "answer": self.answer_to(asked)}
        return state

    def static(self) -> str:
        day = datetime.date.fromisoformat(self.day)
        words = zip(in_korean(day).split(), romanise(in_korean(day)).split(), strict=True)
        lines = [[f"{word} ({latin})"] for word, latin in words]
        lines[-1].append(in_english(day))
        read = table("A date in Korean words, and in English", ["Korean", "English"], [
            [" ".join(line[0] for line in lines), in_english(day)],
        ])  # fmt: skip
        return read + "".join(static_costs(model) for model in self.models if model.get("costs"))


def static_costs(model: Mapping[str, Any]) -> str:
    """Write what one model loses without its heads as a table."""
    costs = model["costs"]
    heads = len(next(iter(costs["without one head"].values())))
    columns = ["group", *(f"without head {head}" for head in range(heads)), "without the group"]
    lines = [
        [name, *(f"{share:.2f}" for share in shares), f"{costs['without the group'][name]:.2f}"]
        for name, shares in costs["without one head"].items()
    ]
    caption = f"Share of dates right, {model['kind']}; with all heads {costs['right']:.4f}"
    return table(caption, columns, lines)


def live_translator(
    models: Transformer | Mapping[str, Transformer | str],
    *,
    costs: Mapping[str, Any] | None = None,
    days: Sequence[datetime.date] = (),
    days_asked: int = 0,
    arithmetic: str = "page",
) -> LiveTranslator:
    """Let the page translate dates by a model, or by several under their names.

    The page computes with the weights rounded to six bits, at most a million of them; attention may
    be looped, split, fused, sliced or built in forward. With `arithmetic="python"` the kernel
    computes, with the models as they are whenever they are asked; they may have any size, and any
    attention that has heads. A string stands for a model that writes this one line. `costs` holds
    for a name what `recordings/head_costs.json` holds: the shares of `days_asked` days that are
    right. `days` are offered to pick from.

    Raises: ValueError for no model, for one of another vocabulary or too large for a page, for a
        day outside 1900 to 2099, for a line that is no date, or for another arithmetic; TypeError
        for another attention.
    """
    if arithmetic not in ("page", "python"):
        raise ValueError(f"wanted arithmetic by 'page' or 'python', got {arithmetic!r}")
    given = models if isinstance(models, Mapping) else {"your model": models}
    if not given:
        raise ValueError("wanted at least one model, got none")
    asked = {} if arithmetic == "page" else {
        name: model for name, model in given.items() if isinstance(model, Transformer)
    }  # fmt: skip
    made = [
        described(name, model, (costs or {}).get(name), in_python=name in asked)
        for name, model in given.items()
    ]
    return LiveTranslator(
        in_python=asked,
        models=made,
        kind=made[0]["kind"],
        days=[check_day(day.isoformat()).isoformat() for day in days],
        days_asked=days_asked,
    )


def described(
    name: str, model: Transformer | str, costs: Any, *, in_python: bool = False
) -> dict[str, Any]:
    """Write one model down as the JavaScript reads it.

    Raises: ValueError, TypeError, for what is refused.
    """
    if isinstance(model, str):
        pieces = [*(NUMBERS[piece] for piece in english_pieces(model)), END]
        return {"kind": name, "writes": pieces, "file": "", "about": NOTHING}
    if model.embedding.num_embeddings != len(PIECES):
        raise ValueError(
            f"{name}: wanted a model of {len(PIECES)} pieces, got {model.embedding.num_embeddings}"
        )
    if in_python:
        check_heads(model)
    attention = model.encoder[0].get_submodule("attention")
    drawn = isinstance(attention, HeadsBuiltInForward)
    computes = {"python": True} if in_python else {"weights": _letters(name, model, drawn)}
    sizes = {
        "embed_dim": model.embedding.embedding_dim,
        "num_heads": number_of_heads(attention),
        "layers": len(model.encoder),
    }
    return {
        "kind": name, "sizes": sizes, "file": "", "costs": costs, "drawn": drawn,
        "about": AGAIN if drawn else "", **computes,
    }  # fmt: skip


def _letters(name: str, model: Transformer, drawn: bool) -> dict[str, Any]:
    """Write the weights as the page reads them."""
    if sum(p.numel() for p in model.parameters()) > MOST_WEIGHTS:
        raise ValueError(
            f"{name}: wanted at most {MOST_WEIGHTS:,} weights, a letter each in a page; "
            "arithmetic='python' takes any number"
        )
    return as_letters(model if drawn else swap_attention(model, SplitMultiHeadAttention))


def shipped_translators() -> LiveTranslator:
    """Let the page translate by the translators that the package keeps: fused, sliced, built in
    forward, and none.
    """
    from cleanformer_lite.translation.checkpoints import load_model
    from cleanformer_lite.translation.corpus import held_out_days
    from cleanformer_lite.translation.kinds import (
        KEPT,
        load_recorded,
        recorded_costs,
        recorded_runs,
    )

    costs = recorded_costs()
    writes = next(run["writes"] for run in recorded_runs()["runs"] if "writes" in run)
    models: dict[str, Transformer | str] = {
        "fused": load_model()[0], **{kind: load_recorded(kind) for kind in KEPT}, "none": writes
    }  # fmt: skip
    viewer = live_translator(
        models,
        costs=costs["models"],
        days=held_out_days()[:DAYS],
        days_asked=costs["held-out days"],
    )
    for model in viewer.models:
        if model["kind"] in KEPT:
            model["file"] = model["kind"].replace(" ", "_")
    return viewer


def small_translator() -> LiveTranslator:
    """Let the page translate by the shipped model, without its heads to look at.

    A page loads the weights when the translator comes into sight.
    """
    viewer = shipped_translators()
    viewer.models = [{**viewer.models[0], "file": "fused"}]
    viewer.small = True
    return viewer


def weight_files() -> dict[str, str]:
    """Write the scripts that shipped and small translator expect beside a page, by their names."""
    return {
        f"{model['file']}.js": "(globalThis.translatorWeights ??= {})"
        f"[{json.dumps(model['file'])}] = {json.dumps(model['weights'], separators=(',', ':'))};\n"
        for model in [*small_translator().models, *shipped_translators().models]
        if model["file"]
    }


def check_day(text: str) -> datetime.date:
    """Read a day of the corpus.

    Raises: ValueError if it is none, or outside 1900 to 2099.
    """
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"wanted a day such as 2026-11-23, got {text!r}") from None
    if not FIRST <= day <= LAST:
        raise ValueError(f"wanted a day from {FIRST} to {LAST}, got {day}")
    return day
