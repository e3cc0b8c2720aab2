"""The short version of each module that a chapter writes out, held equal to the package's own."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cleanformer_lite

BOOK = Path(__file__).resolve().parents[1] / "book"
CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?:---\n.*?\n---\n|(?::[^\n]*\n)+)?(.*?)^```$", re.M | re.S
)
TINY = {
    "01_single_head": ("TinyHead", "SingleHeadAttention"),
    "03_looped_heads": ("TinyLoop", "LoopedMultiHeadAttention"),
    "04_split_heads": ("TinySplit", "SplitMultiHeadAttention"),
    "05_sliced_heads": ("TinySliced", "SlicedMultiHeadAttention"),
    "06_fused_heads": ("TinyFused", "FusedMultiHeadAttention"),
}


def read_class(page: str, name: str) -> tuple[str, Any]:
    """Return the text of the one cell of `page` that defines `name`, and the class it defines."""
    cells = CELL.findall((BOOK / f"{page}.md").read_text(encoding="utf8"))
    [text] = [cell for cell in cells if f"class {name}(" in cell]
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": nn.functional, **vars(cleanformer_lite)}
    exec(text, names)
    return text, names[name]


def outcome(module: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Return a module's output, and the gradients of its input and of all its weights."""
    x = x.clone().requires_grad_()
    output = module(x)
    wanted = [x, *(p for _, p in sorted(module.named_parameters()))]
    # Weighted, so that no two numbers of the output may change places.
    loss = (output * torch.linspace(-1, 2, output.numel(), dtype=x.dtype).view_as(output)).sum()
    return output, *torch.autograd.grad(loss, wanted, allow_unused=True)


@pytest.mark.parametrize("page", TINY)
def test_it_is_the_packages_module(page: str) -> None:
    torch.manual_seed(0)
    tiny, whole = TINY[page]
    sizes = {"embed_dim": 15} | ({"head_dim": 4} if tiny == "TinyHead" else {"num_heads": 5})
    ours = getattr(cleanformer_lite, whole)(**sizes).double()
    short = read_class(page, tiny)[1](**sizes).double()
    short.load_state_dict(ours.state_dict())  # strict: the names are the same too
    x = torch.randn(2, 7, 15, dtype=torch.float64)
    torch.testing.assert_close(outcome(short, x), outcome(ours, x))


def test_the_learners_loop_draws_new_heads_as_the_specimen_does() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 7, 15)
    outputs = []
    for kind in (
        read_class("02_registration_bug", "LearnersLoop")[1],
        cleanformer_lite.HeadsBuiltInForward,
    ):
        torch.manual_seed(1)
        module = kind(15, 5)
        outputs.append(torch.stack([module(x), module(x)]))
    torch.testing.assert_close(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0][0], outputs[0][1])


@pytest.mark.parametrize(
    ("page", "name"),
    [*((page, tiny) for page, (tiny, _) in TINY.items()), ("02_registration_bug", "LearnersLoop")],
)
def test_it_fits_a_glance(page: str, name: str) -> None:
    lines = read_class(page, name)[0].strip().splitlines()
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 60
