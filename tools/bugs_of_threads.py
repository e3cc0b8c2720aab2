"""Fixed bugs written again, in a few lines of our own, from what their threads say.

Each is made before its fix or after it. Nothing here is anybody's code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

E, H, D = 32, 4, 8
Call = tuple[tuple[Any, ...], dict[str, Any]]
Written = tuple[str, Callable[[bool], nn.Module], Callable[[], Call], dict[str, Any]]
THREADS: dict[str, Written] = {}


def tokens() -> Tensor:
    """Draw tokens, `(N, L, E)`."""
    return torch.randn(2, 6, E)


def once() -> Call:
    """Call a module on tokens."""
    return (tokens(),), {}


def thrice() -> Call:
    """Call a module on query, key and value."""
    x = tokens()
    return (x, x, x), {}


class Module(nn.Module):
    """Projections, and whether the bug is in."""

    def __init__(self, has_bug: bool) -> None:
        super().__init__()
        self.has_bug = has_bug
        self.q, self.k, self.v, self.o = (nn.Linear(E, E) for _ in range(4))

    def parts(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        projected = (self.q(query), self.k(key), self.v(value))
        return [x.view(*x.shape[:2], H, D).transpose(1, 2) for x in projected]

    def end(self, mixed: Tensor) -> Tensor:
        output: Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return output


def of_thread(
    thread: str, what: str, call: Callable[[], Call] = once, **meant: Any
) -> Callable[[type[Module]], type[Module]]:
    """Enter a module under its thread."""

    def enter(kind: type[Module]) -> type[Module]:
        THREADS[thread] = (what, kind, call, meant)
        return kind

    return enter


@of_thread("keras-team/keras#23038", "causality that comes alone is dropped with dropout", thrice)
class CausalAlone(Module):
    def forward(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor,
        attention_mask: Tensor | None = None,
        use_causal_mask: bool = False,
    ) -> Tensor:
        q, k, v = self.parts(query, key, value)
        scores = q @ k.mT / D**0.5
        length = query.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        if attention_mask is not None:
            attention_mask = attention_mask & causal if use_causal_mask else attention_mask
        elif use_causal_mask and not self.has_bug:
            attention_mask = causal
        if attention_mask is not None:
            scores = scores.masked_fill(~attention_mask, -1e9)
        return self.end(scores.softmax(-1) @ v)


@of_thread("facebookresearch/xformers#103", "causality is skipped where no mask comes", causal=True)
class CausalWithMask(Module):
    def forward(self, x: Tensor, att_mask: Tensor | None = None) -> Tensor:
        q, k, v = self.parts(x, x, x)
        scores = q @ k.mT / D**0.5
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        if att_mask is not None:
            scores = scores.masked_fill(~(att_mask & causal), -1e9)
        elif not self.has_bug:
            scores = scores.masked_fill(~causal, -1e9)
        return self.end(scores.softmax(-1) @ v)


@of_thread("esceptico/perceiver-io#9", "scores are divided by the factor, not multiplied")
class ScaleInverted(Module):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x, x, x)
        scale = D**-0.5
        scores = q @ k.mT / scale if self.has_bug else q @ k.mT * scale
        return self.end(scores.softmax(-1) @ v)


@of_thread("Project-MONAI/GenerativeModels#146", "the factor is forgotten", scaled=True)
class ScaleForgotten(Module):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x, x, x)
        scores = torch.einsum("bhld,bhsd->bhls", q, k)
        return self.end((scores if self.has_bug else scores * D**-0.5).softmax(-1) @ v)


@of_thread("facebookresearch/detr#247", "the softmax runs over heads and keys together")
class SoftmaxOverHeads(Module):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x, x, x)
        scores = (q @ k.mT / D**0.5).transpose(1, 2)  # (N, L, H, S)
        wide = scores.flatten(2).softmax(-1) if self.has_bug else scores.softmax(-1).flatten(2)
        return self.end(wide.view(scores.shape).transpose(1, 2) @ v)


@of_thread("jsbaan/transformer-from-scratch#4", "heads are not moved back before the merge")
class MergedAsTheyLie(Module):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x, x, x)
        mixed = F.scaled_dot_product_attention(q, k, v)
        output: Tensor = self.o(mixed.reshape(x.shape)) if self.has_bug else self.end(mixed)
        return output


@of_thread("ArrowLuo/CLIP4Clip#22", "masks are repeated sample by sample", mask="keep")
class MaskRepeated(Module):
    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        q, k, v = (part.flatten(0, 1) for part in self.parts(x, x, x))
        scores = q @ k.mT / D**0.5
        if attn_mask is not None:
            times = attn_mask.repeat(H, 1, 1)
            each = times if self.has_bug else attn_mask.repeat_interleave(H, 0)
            scores = scores.masked_fill(~each, -1e9)
        return self.end((scores.softmax(-1) @ v).unflatten(0, (-1, H)))
