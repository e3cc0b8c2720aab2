"""The short version of each module that a chapter writes out, held equal to the package's own."""

import re
from collections.abc import Callable
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


def read_blocks() -> dict[str, str]:
    """Return the tests of the cheat sheet by the symptom above each, and its module as 'module'."""
    text = (BOOK / "cheat_sheet.md").read_text(encoding="utf8")
    [module] = re.findall(r"```python\n(class .*?)```", text, re.S)
    return {"module": module} | dict(
        re.findall(r"^\*\*([^*]+)\*\*[^\n]*\n\n```python\n(.*?)```", text, re.M | re.S)
    )


class Wrong(cleanformer_lite.SplitMultiHeadAttention):
    """One mistake, by name, in a module that is right otherwise."""

    def __init__(self, mistake: str) -> None:
        super().__init__(15, 5)
        self.mistake = mistake

    def forward(self, query: Tensor, *rest: Tensor | None, **options: Any) -> Any:
        x = query.flatten(0, 1)[None] if self.mistake == "batch" else query
        projections = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (cleanformer_lite.split_heads(p(x), 5) for p in projections)
        scores = q @ k.mT / 3**0.5
        if options.get("is_causal"):
            scores = scores.masked_fill(torch.ones(x.shape[1], x.shape[1]).triu(1) > 0, -1e9)
        if options.get("attn_mask") is not None:
            scores = scores.masked_fill(~options["attn_mask"], -torch.inf)
        weights = scores.softmax(-2 if self.mistake == "softmax" else -1)
        output = weights @ v
        if self.mistake != "merge":
            output = output.transpose(1, 2)
        output = self.out_proj(output.reshape(query.shape))
        return (output, weights) if options.get("need_weights") else output


WRONG: dict[str, Callable[[], nn.Module]] = {
    "Nothing learns, or evaluation is random.": lambda: cleanformer_lite.HeadsBuiltInForward(15, 5),
    "Trains, and guesses once loaded.": lambda: cleanformer_lite.HeadsInPlainList(15, 5),
    "The loss is too good.": lambda: Wrong("merge"),
    "Right alone, wrong in a batch.": lambda: Wrong("batch"),
    "Learns, and never gets good.": lambda: cleanformer_lite.SlicedMultiHeadAttention(15, 5),
    "Metrics as always, maps look odd.": lambda: Wrong("softmax"),
    "NaN.": lambda: Wrong("nan"),
}


def run_block(block: str, module: nn.Module) -> None:
    torch.manual_seed(0)
    names: dict[str, Any] = {"torch": torch, "F": nn.functional, "E": 15, "module": module}
    names |= {"x": torch.randn(2, 7, 15)}
    names["weights"] = lambda x: module(x, need_weights=True)[1]
    exec(block, names)


@pytest.mark.parametrize("symptom", WRONG)
def test_the_cheat_sheet_tells_right_from_wrong_in_three_lines(symptom: str) -> None:
    block = read_blocks()[symptom]
    assert len(block.strip().splitlines()) <= 3
    torch.manual_seed(0)
    run_block(block, cleanformer_lite.SplitMultiHeadAttention(15, 5))
    with pytest.raises(AssertionError):
        run_block(block, WRONG[symptom]())


def test_the_cheat_sheets_module_is_right() -> None:
    names: dict[str, Any] = {"nn": nn, "F": nn.functional}
    exec(read_blocks()["module"], names)
    ours = cleanformer_lite.FusedMultiHeadAttention(15, 5).double()
    short = names["Attention"](15, 5).double()
    short.load_state_dict(ours.state_dict())
    x = torch.randn(2, 7, 15, dtype=torch.float64)
    torch.testing.assert_close(outcome(short, x), outcome(ours, x))
    torch.testing.assert_close(short(x, is_causal=True), ours(x, is_causal=True))


def test_every_symptom_of_the_cheat_sheet_is_tried() -> None:
    assert set(read_blocks()) == {*WRONG, "module"}
