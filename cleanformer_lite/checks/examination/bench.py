"""Call a copy of one attention again and again, with other tokens, masks and batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.examination.copying import Memory, by_name, copied, fill, without_cache
from cleanformer_lite.checks.examination.discover import (
    Site,
    forward_parameters,
    main_output,
    tensors_in,
)
from cleanformer_lite.checks.examination.errors import NotAskedError

TOLERANCE = 1e-5

MOST_TOKENS = 8


@dataclass
class Result:
    """The result of a call: the output, and the attention weights if it returned them."""

    output: Tensor
    weights: Tensor | None


Path = tuple[Any, ...]


@dataclass
class Bench:
    """A copy of a module with parameters of its own, and the call that reached the module.

    `inputs` says where in the call the query tokens are, `context` where the key tokens are if it
    is cross-attention. `token_axis` is 1 for `(N, L, E)` and 0 for `(L, N, E)`.
    """

    name: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: list[Path]
    context: list[Path]
    x: Tensor
    c: Tensor
    token_axis: int = 1
    names: list[str] = field(default_factory=list)
    memory: Memory | None = None

    @property
    def is_cross(self) -> bool:
        return bool(self.context)

    @property
    def embed_dim(self) -> int:
        return int(self.x.shape[-1])

    @property
    def length(self) -> int:
        return int(self.x.shape[self.token_axis])

    @property
    def keys(self) -> int:
        return int(self.source.shape[self.token_axis])

    @property
    def batch(self) -> int:
        return int(self.x.shape[1 - self.token_axis])

    @property
    def source(self) -> Tensor:
        """Return the key tokens."""
        return self.c if self.is_cross else self.x

    def call(self, source: Tensor | None = None, x: Tensor | None = None, **named: Any) -> Result:
        """Call the module on other tokens, or with other named arguments."""
        if self.memory is not None:
            self.memory.restore()
        args, kwargs = list(self.args), {**self.kwargs, **named}
        if self.is_cross:
            asked = self.c if source is None else source
            put(args, kwargs, self.context, asked.clone())
            put(args, kwargs, self.inputs, (self.x if x is None else x).clone())
        else:
            put(args, kwargs, self.inputs, (self.x if source is None else source).clone())
        return read_result(self.module(*args, **kwargs), self)

    def tokens(self, tensor: Tensor) -> Tensor:
        """Lay out a tensor as `(N, L, E)`."""
        return tensor if self.token_axis == 1 else tensor.transpose(0, 1)

    def changed(self, token: int | slice, by: float = 2.0, sample: int | None = None) -> Tensor:
        """Return the key tokens, one of them changed."""
        other = self.source.clone()
        step = by * torch.tensor([1.0, -2.0, 0.5, 1.5], dtype=other.dtype)
        view = self.tokens(other)
        where = slice(None) if sample is None else sample
        view[where, token] += step[torch.arange(other.shape[-1]) % 4]
        return other


def read_result(result: Any, bench: Bench) -> Result:
    """Take output and weights out of whatever a module returns."""
    output = main_output(result, [bench.x])
    if output is None:
        raise NotAskedError(f"it returned {type(result).__name__} without a tensor")
    keys, length = bench.keys, bench.length
    others = [t for t in tensors_in(result) if t is not output and t.is_floating_point()]
    maps = [t for t in others if t.dim() in (3, 4) and tuple(t.shape[-2:]) == (length, keys)]
    maps = [t for t in maps if bool((t.nan_to_num() >= 0).all()) and bool(t.nan_to_num().any())]
    whole = [t for t in maps if bool(((t.sum(-1) - 1).abs() < 1e-3).all())]
    return Result(output, next(iter(whole + maps), None))


def make_bench(site: Site, seed: int) -> Bench:
    """Copy a module, give it generic parameters, and find the tokens in its call.

    Raises: NotAskedError if it cannot be copied or called again.
    """
    module = copied(site.module)
    fill(module, seed)
    output = main_output(site.output, tensors_in((site.args, site.kwargs)))
    args, kwargs = by_name(site)
    kwargs = without_cache(kwargs)
    slots = [
        (path, t)
        for path, t in _paths(args, kwargs)
        if t.is_floating_point() and t.dim() == 3 and "embeddings" not in str(path[0])
    ]
    assert output is not None
    main = next(
        (
            t
            for _, t in slots
            if t.shape[-1] == output.shape[-1] and t.shape[:2] == output.shape[:2]
        ),
        None,
    )
    if main is None:
        raise NotAskedError("no input has the shape of its output")
    inputs = [path for path, t in slots if t is main]
    others = [(path, t) for path, t in slots if t is not main and not _is_mask(path)]
    asked = [(path, t) for path, t in others if _same_batch(t, main)]
    generator = torch.Generator().manual_seed(seed)

    def drawn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like.dtype)

    context = [path for path, t in asked if asked and t.shape == asked[0][1].shape]
    c = drawn(asked[0][1]) if asked else drawn(main)
    bench = Bench(
        site.name,
        module.eval(),
        args,
        kwargs,
        inputs,
        context,
        drawn(main),
        c,
        names=[p.name for p in forward_parameters(site.module)],
        memory=Memory(module),
    )
    if bench.is_cross and not _is_asked(bench):
        bench.context = []
    bench.token_axis = _token_axis(bench)
    return bench


@torch.no_grad()
def _is_asked(bench: Bench) -> bool:
    """Say whether an output reads other tokens than those at its own position."""
    before = bench.call().output
    other = bench.c.clone()
    other[:, -1] += 1.5
    if bench.c.shape[0] != bench.x.shape[0]:
        other = bench.c + 1.5
    after = bench.call(other).output
    return differ(before[:, 0], after[:, 0], before)


def _is_mask(path: Path) -> bool:
    return any(word in str(path[0]) for word in ("mask", "bias", "pos"))


def _same_batch(t: Tensor, main: Tensor) -> bool:
    return t.shape[0] == main.shape[0] or t.shape[1] == main.shape[1]


def _paths(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Path, Tensor]]:
    """List the paths of tensors in a call: positions and names, at most one level deep."""
    found: list[tuple[Path, Tensor]] = []
    for key, value in (*enumerate(args), *kwargs.items()):
        if isinstance(value, Tensor):
            found.append(((key,), value))
        elif isinstance(value, (list, dict)):
            inside = value.items() if isinstance(value, dict) else enumerate(value)
            found += [((key, name), part) for name, part in inside if isinstance(part, Tensor)]
    return found


def put(args: list[Any], kwargs: dict[str, Any], paths: list[Path], value: Tensor) -> None:
    """Put a tensor at some paths of a call."""
    for key, *inside in paths:
        holder: Any = args if isinstance(key, int) else kwargs
        for name in inside:
            holder[key] = holder[key].copy()  # the caller's own is left alone
            holder, key = holder[key], name
        holder[key] = value


def _token_axis(bench: Bench) -> int:
    """Find the axis along which tokens are mixed; 1 if that is neither axis, or both."""
    if bench.x.shape[0] < 2 or bench.is_cross:
        return _axis_of_cross(bench) if bench.is_cross else 1
    if bench.x.shape[1] < 2:
        return 0 if bench.x.shape[0] > 1 and _moves(bench, (0, 0), (1, 0)) else 1
    along_tokens = _moves(bench, (0, 0), (0, 1))
    across = _moves(bench, (0, 0), (1, 0))
    if not along_tokens:  # a causal module may hide one direction
        along_tokens = _moves(bench, (0, 1), (0, 0))
    return 0 if across and not along_tokens else 1


def _axis_of_cross(bench: Bench) -> int:
    same = [axis for axis in (0, 1) if bench.c.shape[axis] == bench.x.shape[axis]]
    return 0 if same == [1] else 1


def _moves(bench: Bench, source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Say whether the input at one position changes the output at another."""
    other = bench.x.clone()
    other[source] += 1.5
    with torch.no_grad():
        before, after = bench.call().output, bench.call(other).output
    return differ(before[target], after[target], before)


def differ(ours: Tensor, theirs: Tensor, scale: Tensor) -> bool:
    """Say whether two tensors differ by more than rounding, relative to the largest number."""
    top = float(scale.detach().nan_to_num().abs().max()) or 1.0
    gap = (ours.detach() - theirs.detach()).abs()
    return bool((gap.nan_to_num(torch.inf) > TOLERANCE * max(top, 1e-3)).any())
