"""Every number of attention in the reader's hands, and what each is made of."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from cleanformer_lite.copy_weights import PROJECTIONS, projections_of
from cleanformer_lite.looped_heads import LoopedMultiHeadAttention
from cleanformer_lite.registration_bug import HeadsInPlainList
from cleanformer_lite.single_head import SingleHeadAttention, scaled_dot_product_attention
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention
from cleanformer_lite.split_heads import merge_heads, split_heads
from cleanformer_lite.viewers.mount import Viewer, script_of, style_of, table

EXAMPLE = Path(__file__).with_suffix(".json")
MODES = ("one", "loop", "split", "sliced")
STEPS = (
    "words", "x", "W", "qkv", "split", "scores", "mask", "softmax", "values", "merge", "W_O",
    "output",
)  # fmt: skip
OF_MANY_HEADS = ("split", "merge", "W_O", "output")  # steps that one head alone does not have
MOST_WORDS, MOST_FEATURES, MOST_HEADS = 6, 12, 4
DIGITS = 6  # so that what JavaScript computes agrees with torch to 1e-4


class AttentionStage(Viewer):
    """A small sentence on its way through attention, number by number.

    Traits: `words` L; `x` `(L, E)`; `weights`, by the letters q, k, v, and o unless one head stands
        alone, `(E, E)` as `nn.Linear` keeps them; `biases`, by the same letters, `(E,)`; `heads` H;
        `mode`, one of MODES; `step`, one of STEPS; `causal`; `off`, the heads that are silenced;
        `cell`, the number asked about, as in "q.1.0" for word 1, number 0, or ""; `play`, whether
        the steps follow each other once the viewer is seen.

    Raises: ValueError for a step or a mode that is not there.
    """

    _esm = script_of("stage_sums", "stage_words", "stage_layout", "attention_stage")
    _css = style_of("attention_stage")
    title = "Attention, number by number"
    shown = (
        "words", "x", "weights", "biases", "heads", "mode", "step", "causal", "off", "cell", "play",
    )  # fmt: skip
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    x: Any = traitlets.List().tag(sync=True)
    weights: Any = traitlets.Dict().tag(sync=True)
    biases: Any = traitlets.Dict().tag(sync=True)
    heads = traitlets.Int(1).tag(sync=True)
    mode = traitlets.Unicode("split").tag(sync=True)
    step = traitlets.Unicode("words").tag(sync=True)
    causal = traitlets.Bool(False).tag(sync=True)
    off = traitlets.List(traitlets.Int()).tag(sync=True)
    cell = traitlets.Unicode("").tag(sync=True)
    play = traitlets.Bool(False).tag(sync=True)

    @traitlets.validate("mode")
    def _check_mode(self, proposal: dict[str, Any]) -> str:
        wanted = MODES[:1] if "o" not in self.weights else MODES[1:]
        return _one_of("mode", proposal["value"], wanted)

    @traitlets.validate("step")
    def _check_step(self, proposal: dict[str, Any]) -> str:
        alone = "o" not in self.weights
        wanted = [step for step in STEPS if not (alone and step in OF_MANY_HEADS)]
        return _one_of("step", proposal["value"], wanted)

    @traitlets.validate("off")
    def _check_off(self, proposal: dict[str, Any]) -> list[int]:
        off: list[int] = proposal["value"]
        if not all(0 <= head < self.heads for head in off):
            raise ValueError(f"wanted heads from 0 to {self.heads - 1}, got {off}")
        return off

    def static(self) -> str:
        shares, output = self._attend()
        lines = [
            [word, _spaced(self.x[i]), *(_spaced(head[i]) for head in shares), _spaced(output[i])]
            for i, word in enumerate(self.words)
        ]
        each = [f"shares in head {head}" for head in range(self.heads)]
        columns = ["word", "x", *each, "output"]
        return table("Attention: what comes in, who reads whom, what comes out", columns, lines)

    def _attend(self) -> tuple[list[Any], list[Any]]:
        """Return weights `(H, L, L)` and output `(L, E)`, or `(L, D)` for one head alone."""
        x = torch.tensor(self.x, dtype=torch.float64)
        projected = {letter: nn.functional.linear(x, *self._layer(letter)) for letter in "qkv"}
        q, k, v = (split_heads(projected[letter][None], self.heads) for letter in "qkv")
        heads, shares = scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        heads[:, self.off] = 0.0
        output = merge_heads(heads)[0]
        if "o" in self.weights:
            output = nn.functional.linear(output, *self._layer("o"))
        return shares[0].tolist(), output.tolist()

    def _layer(self, letter: str) -> tuple[Tensor, Tensor | None]:
        weight = torch.tensor(self.weights[letter], dtype=torch.float64)
        if self.mode == "sliced" and letter != "o":
            blocks = [
                row.chunk(self.heads, dim=1)[h] for h, row in enumerate(weight.chunk(self.heads))
            ]
            weight = torch.block_diag(*blocks)
        bias = self.biases.get(letter)
        return weight, None if bias is None else torch.tensor(bias, dtype=torch.float64)


def stage(
    module: nn.Module | None = None,
    x: Tensor | None = None,
    words: Sequence[str] | None = None,
    *,
    step: str = "words",
    mode: str | None = None,
    num_heads: int | None = None,
    causal: bool = False,
    play: bool = False,
) -> AttentionStage:
    """Walk through attention number by number: your module's, or a small example's.

    Any number tells where it comes from, x and the weights can be edited, the mask switched, a head
    silenced, and the heads looped, split or sliced. Without a module there are four words of six
    numbers, in two heads of three; `num_heads=1` or `mode="one"` shows one of these heads alone,
    without an output projection. With `play`, the steps follow each other once it is seen.

    Shapes: x `(L, E)` or `(1, L, E)`, words L.

    Raises: ValueError if shapes and words do not fit together, a number is not finite, a mode or
        step is unknown, or it is all too large to be seen; TypeError for a module whose projections
        are not known.
    """
    if module is None:
        if x is not None or words is not None:
            raise ValueError("wanted a module for your x and words, got none")
        parts = _example(num_heads, mode)
    else:
        if num_heads is not None:
            raise ValueError(f"wanted num_heads from the module alone, got {num_heads} as well")
        parts = _parts_of(module, x, words)
    made = AttentionStage(**parts, causal=causal, play=play)
    made.mode = mode or (_mode_of(module) if "o" in made.weights else "one")
    made.step = step
    return made


def _example(num_heads: int | None, mode: str | None) -> dict[str, Any]:
    """Return the example's numbers, for two heads or for the first of them alone."""
    if num_heads is None:
        num_heads = 1 if mode == "one" else 2
    if num_heads not in (1, 2):
        raise ValueError(f"wanted num_heads of 1 or 2 in the example, got {num_heads}")
    parts: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf8"))
    if num_heads == 1:
        head_dim = len(parts["x"][0]) // 2
        parts["weights"] = {letter: parts["weights"][letter][:head_dim] for letter in "qkv"}
    return {**parts, "biases": {}, "heads": num_heads}


def _parts_of(module: nn.Module, x: Tensor | None, words: Sequence[str] | None) -> dict[str, Any]:
    """Read the numbers of a module, and check that the sentence fits it.

    Raises: ValueError, TypeError as `stage` does.
    """
    if isinstance(module, SingleHeadAttention):
        linears = {name[0]: getattr(module, name) for name in PROJECTIONS[:3]}
        heads, layers = 1, {letter: (one.weight, one.bias) for letter, one in linears.items()}
    else:
        heads = int(getattr(module, "num_heads", 0))
        layers = {name[0]: whole.stacked() for name, whole in projections_of(module).items()}
    embed_dim = layers["q"][0].shape[1]
    if x is None or words is None:
        raise ValueError("wanted x and words beside the module, got the module alone")
    x = x[0] if x.dim() == 3 and x.shape[0] == 1 else x
    if x.dim() != 2 or x.shape[1] != embed_dim or len(x) == 0:
        raise ValueError(f"wanted x of shape (L, {embed_dim}), got {tuple(x.shape)}")
    if len(words) != len(x):
        raise ValueError(f"wanted {len(x)} words for x of shape {tuple(x.shape)}, got {len(words)}")
    if len(x) > MOST_WORDS or embed_dim > MOST_FEATURES or heads > MOST_HEADS:
        raise ValueError(
            f"wanted at most {MOST_WORDS} words of {MOST_FEATURES} numbers in {MOST_HEADS} heads, "
            f"got {len(x)} of {embed_dim} in {heads}"
        )
    return {
        "words": [str(word) for word in words],
        "x": _numbers(x),
        "weights": {letter: _numbers(weight) for letter, (weight, _) in layers.items()},
        "biases": {name: _numbers(bias) for name, (_, bias) in layers.items() if bias is not None},
        "heads": heads,
    }


def _mode_of(module: nn.Module | None) -> str:
    if isinstance(module, LoopedMultiHeadAttention | HeadsInPlainList):
        return "loop"
    return "sliced" if isinstance(module, SlicedMultiHeadAttention) else "split"


def _one_of(what: str, value: Any, wanted: Sequence[str]) -> str:
    if value not in wanted:
        raise ValueError(f"wanted a {what} of {', '.join(wanted)}, got {value!r}")
    return str(value)


def _numbers(tensor: Tensor) -> list[Any]:
    """Return a tensor as nested lists of rounded numbers.

    Raises: ValueError for NaN or infinity.
    """
    if not tensor.isfinite().all():
        raise ValueError("wanted finite numbers, got NaN or infinity among them")
    rounded: list[Any] = tensor.detach().to("cpu", torch.float64).round(decimals=DIGITS).tolist()
    return rounded


def _spaced(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.2f}" for number in numbers)
