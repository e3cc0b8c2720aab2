"""Tests of three lines for the page of mistakes, to be pasted beside a module of one's own.

Each property has one where three lines can ask for it. They are run on every mistake that a split
module can show, and a mistake is given the first test that fails on all its forms.
"""

import ast
import inspect
import textwrap
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.checks import Mistake
from cleanformer_lite.checks.engine.attention import Attention

BUG = "# The bug"
SIZES = {"N": 3, "L": 5, "E": 28, "H": 4}
SETTING = """\
N, L, E, H = 3, 5, 28, 4
x = torch.randn(N, L, E)
mask = torch.ones(N, 1, L, L, dtype=torch.bool)
mask[0, :, :, -1] = False  # hides a token of sample 0

def weights(x, **masks):
    return module(x, need_weights=True, **masks)[1]"""
_COUNT = """\
count = sum(p.numel() for p in module.parameters())
assert count == 4 * (E * E + E)"""
_TWICE = """\
module.eval()
assert torch.equal(module(x), module(x))"""
_GRADIENTS = """\
module(x).square().sum().backward()
matrices = [p for p in module.parameters() if p.dim() > 1]
assert all(p.grad is not None and p.grad.any(0).all() for p in matrices)"""
TESTS = {
    "runs": "assert module(x).shape == x.shape",
    "calls_agree": _TWICE,
    "parameter_count": _COUNT,
    "parameters_registered": _COUNT,
    "input_unchanged": """\
before = x.clone()
module(x)
assert torch.equal(x, before)""",
    "dropout_off_in_eval": _TWICE,
    "dropout_on_in_training": """\
module.train()  # made with dropout=0.5
assert not torch.equal(module(x), module(x))""",
    "batch_independence": """\
alone = module(x[:1])
assert torch.allclose(alone, module(x)[:1], atol=1e-5)""",
    "permutation_equivariance": """\
order = [*range(1, L), 0]
assert torch.allclose(module(x[:, order]), module(x)[:, order], atol=1e-5)""",
    "rows_sum_to_one": """\
sums = weights(x).sum(-1)
assert torch.allclose(sums, torch.ones_like(sums))""",
    "heads_differ": """\
maps = weights(x)
assert not any(torch.allclose(maps[:, 0], maps[:, head]) for head in range(1, H))""",
    "every_head_sees_every_feature": """\
y = x + F.one_hot(torch.tensor(0), E) * torch.randn(N, L, 1)
moved = (weights(y) - weights(x)).abs().amax(dim=(0, 2, 3))
assert (moved > 1e-6).all()  # in every head""",
    "projections_are_linear": """\
a, b = torch.randn(2, N, 1, E)  # one token: all weight is on it
sums = module(a + b) + module(0 * a), module(a) + module(b)
assert torch.allclose(*sums, atol=1e-5)""",
    "gradients_reach_all": _GRADIENTS,
    "every_weight_moves": _GRADIENTS,
    "score_scale": """\
q, k = (layer(x).unflatten(-1, (H, -1)).transpose(1, 2) for layer in (module.q_proj, module.k_proj))
wanted = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
assert torch.allclose(weights(x), wanted, atol=1e-5)""",
    "masks_combine": """\
both = weights(x, attn_mask=mask, is_causal=True)
assert both.gt(0).equal(mask.tril().expand_as(both))""",
    "causality": """\
y = torch.cat([x[:, :-1], x[:, -1:] + 1], dim=1)  # another last token
a, b = module(x, is_causal=True), module(y, is_causal=True)
assert torch.allclose(a[:, :-1], b[:, :-1], atol=1e-5)""",
    "masked_keys_get_nothing": """\
masked = weights(x, attn_mask=mask)
assert masked.gt(0).equal(mask.expand_as(masked))""",
    "padding_invariance": """\
y = torch.cat([x[:, :-1], x[:, -1:] + 1], dim=1)  # other padding
a, b = module(x, attn_mask=mask)[0], module(y, attn_mask=mask)[0]
assert torch.allclose(a[:-1], b[:-1], atol=1e-5)""",
    "finite_on_blind_rows": """\
blind = weights(x, attn_mask=torch.zeros(L, L, dtype=torch.bool))
assert not blind.any()  # NaN counts as true""",
}


class _Signature(nn.Module):
    """Gives a mistake the book's signature: its modules always return their weights."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, x: Tensor, *, need_weights: bool = False, **masks: Any) -> Any:
        output, weights = self.inner(x, **masks)
        return (output, weights) if need_weights else output


def fails(test: str, module: nn.Module, seed: int = 0) -> bool:
    """Run the lines of a test on a module, and say whether they fail or raise."""
    torch.manual_seed(seed)
    space: dict[str, Any] = {"torch": torch, "F": F, "module": module}
    exec(SETTING, space)
    module.eval()
    try:
        exec(test, space)
    except Exception:
        return True
    return False


def make(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    """Build the module of a mistake with the sizes of the tests and the book's signature."""
    torch.manual_seed(seed)
    return _Signature(kind(SIZES["E"], SIZES["H"], dropout=0.5))


def test_for(modules: tuple[type[nn.Module], ...], properties: list[str]) -> tuple[str, bool]:
    """Choose the test of a mistake, by its property, and say whether it fails on all its forms.

    Where none does, it is the first that fails on the first form; empty if there is none.
    """
    failing = {
        name: [fails(TESTS[name], make(module)) for module in modules]
        for name in TESTS
        if name in properties
    }
    best = [name for name, found in failing.items() if all(found)]
    some = [name for name, found in failing.items() if found[0]]
    return (best + some + [""])[0], bool(best)


def differing_lines(known: Mistake) -> tuple[str, str]:
    """Return the code in which a mistake differs, and what stands there in the right attention.

    The second is empty where there is no such place: a whole module, or a function.
    """
    first = known.classes[0]
    if issubclass(first, Attention):
        own = [name for name, part in vars(first).items() if inspect.isfunction(part)]
        wrong = [textwrap.dedent(inspect.getsource(vars(first)[name])) for name in own]
        right = [textwrap.dedent(inspect.getsource(getattr(Attention, name))) for name in own
                 if hasattr(Attention, name)]  # fmt: skip
        settings = [f"{name} = {value!r}" for name, value in vars(first).items()
                    if name in ("fill", "uses_out", "is_tied")]  # fmt: skip
        return "\n".join(settings + wrong).strip(), "\n".join(right).strip()
    if issubclass(first, nn.Module):
        base = first.__base__
        assert base is not None
        # One that is built on a specimen of the book only gives it another signature.
        from_the_book = base is not nn.Module and not base.__name__.startswith("_")
        shown = base if from_the_book else first
        return _without_text(textwrap.dedent(inspect.getsource(shown))), ""
    return _first_form(known), ""


def _without_text(source: str) -> str:
    """Leave out what a class says of itself, and methods without a marked bug if one has a mark."""
    (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    lines = source.splitlines()
    kept = []
    for node in found.body:
        if isinstance(node, ast.FunctionDef):
            texts = [part for part in node.body if isinstance(part, ast.Expr)][:1]
            skipped = {
                number
                for text in texts
                if isinstance(text.value, ast.Constant)
                for number in range(text.lineno, (text.end_lineno or text.lineno) + 1)
            }
            numbers = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            kept.append("\n".join(lines[i - 1] for i in numbers if i not in skipped))
    marked = [method for method in kept if BUG in method]
    return lines[found.lineno - 1] + "\n" + "\n\n".join(marked or kept)


def _first_form(known: Mistake) -> str:
    """Return the code of the first wrong answer that a mistake lists, and what it was made with."""
    answer = next(iter(known.forms.values()))[0]
    function = inspect.unwrap(getattr(answer, "func", answer))
    if function.__name__ == "<lambda>":
        return _text_of(function)
    keywords = getattr(answer, "keywords", None)
    given = inspect.getclosurevars(function).nonlocals if keywords is None else keywords
    usual = _usual_values(function)
    chosen = [
        f"# {name} = {_text_of(value)}"
        for name, value in given.items()
        if isinstance(value, bool | int | float | slice | FunctionType | BuiltinFunctionType | type)
        and (name not in usual or usual[name] != value)
    ]
    return "\n".join([*chosen, textwrap.dedent(inspect.getsource(function)).strip()])


def _usual_values(function: Any) -> dict[str, Any]:
    """Return the defaults of the function that made this one, or of itself if nothing made it."""
    maker = vars(inspect.getmodule(function)).get(function.__qualname__.split(".")[0])
    if not inspect.isfunction(maker):
        return {}
    return {name: known.default for name, known in inspect.signature(maker).parameters.items()}


def _text_of(value: Any) -> str:
    """Write a value as code: a lambda as it stands in its file, what has a name by its name."""
    if isinstance(value, slice):
        return f"slice({value.start}, {value.stop})"
    if not isinstance(value, FunctionType) or value.__name__ != "<lambda>":
        return str(getattr(value, "__name__", repr(value)))
    code = value.__code__
    takes = list(code.co_varnames[: code.co_argcount])
    tree = ast.parse(Path(code.co_filename).read_text(encoding="utf-8"))
    found = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda)
        and node.lineno == code.co_firstlineno
        and [argument.arg for argument in node.args.args] == takes
    )
    return ast.unparse(found)
