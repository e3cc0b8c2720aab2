"""What `examine` gives back, how it finds attention, and how it leaves a model."""

import json

import pytest
import torch
from torch import Tensor, nn

from cleanformer_lite import Expect, SplitMultiHeadAttention, examine
from cleanformer_lite.checks.examination import AttentionBugError, Finding, ModuleReport

EMBED_DIM, NUM_HEADS = 20, 5


def tokens(batch: int = 2, length: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, length, EMBED_DIM, generator=generator)


class Wrong(nn.Module):
    """Divides by the root of E, and drops in evaluation mode if `rate` is set."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.qkv = nn.Linear(EMBED_DIM, 3 * EMBED_DIM)
        self.out = nn.Linear(EMBED_DIM, EMBED_DIM)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        query, key, value = (
            part.view(batch, length, NUM_HEADS, -1).transpose(1, 2)
            for part in self.qkv(x).chunk(3, -1)
        )
        weights = (query @ key.mT / EMBED_DIM**0.5).softmax(-1)
        weights = nn.functional.dropout(weights, self.rate)
        output: Tensor = self.out((weights @ value).transpose(1, 2).flatten(2))
        return output


class Block(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(EMBED_DIM)
        self.attention = attention
        self.mlp = nn.Sequential(nn.Linear(EMBED_DIM, 9), nn.ReLU(), nn.Linear(9, EMBED_DIM))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x))
        output: Tensor = x + self.mlp(x)
        return output


def test_every_attention_of_a_model_is_found_inside_its_block() -> None:
    model = nn.Sequential(Block(SplitMultiHeadAttention(EMBED_DIM, NUM_HEADS)), Block(Wrong()))
    report = examine(model, tokens())
    assert [module.where for module in report.modules] == ["0.attention", "1.attention"]
    assert [module.findings == [] for module in report.modules] == [True, False]
    assert report.findings[0].mistake == "scaled_by_embed_dim"
    assert report.findings[0].yours == "0.2236"  # 1 / sqrt(20)
    assert "0.5" in report.findings[0].target  # 1 / sqrt(4)


def test_two_bugs_are_two_findings_or_said_to_hide_each_other() -> None:
    report = examine(Wrong(rate=0.4), tokens())
    assert [finding.mistake for finding in report.findings] == ["dropout_in_eval"]
    assert any("no two calls agree" in text for text in report.unknown)


def test_a_model_is_given_back_as_it_was() -> None:
    model = nn.Sequential(Block(SplitMultiHeadAttention(EMBED_DIM, NUM_HEADS)), Block(Wrong()))
    model.train()
    model[1].eval()
    model(tokens()).sum().backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    x = tokens()
    examine(model, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    left = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(gradients, left, strict=True))
    assert [part.training for part in (model, model[0], model[1])] == [True, True, False]
    assert all(not part._forward_hooks for part in model.modules())
    assert torch.equal(x, tokens())


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_masks_of_torchs_own_are_found_out(batch_first: bool) -> None:
    module = nn.MultiheadAttention(EMBED_DIM, NUM_HEADS, batch_first=batch_first)
    x = tokens() if batch_first else tokens().transpose(0, 1)
    report = examine(module, x, x, x)
    assert report.passed, report
    masks = [note for note in report.notes if note.startswith("mask:")]
    assert any("key_padding_mask (N, S)" in m and "True = blocked" in m for m in masks)
    assert any("attn_mask (L, S)" in m and "True = blocked" in m for m in masks)


def test_a_wrapper_is_asked_what_it_does_with_masks() -> None:
    class Wrapper(nn.Module):
        def __init__(self, turn: bool) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(EMBED_DIM, NUM_HEADS, batch_first=True)
            self.turn = turn

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            blocked = None if mask is None else ~mask if self.turn else mask
            output: Tensor = self.inner(x, x, x, key_padding_mask=blocked)[0]
            return output

    keep = Expect(mask="keep")
    assert examine(Wrapper(turn=True), tokens(), expect=keep).passed
    report = examine(Wrapper(turn=False), tokens(), expect=keep)
    assert [finding.mistake for finding in report.findings] == ["mask_inverted"]
    assert [bool(module.findings) for module in report.modules] == [True, False]


def test_cross_attention_asks_other_tokens() -> None:
    module = SplitMultiHeadAttention(EMBED_DIM, NUM_HEADS)
    report = examine(module, tokens(), tokens(length=4), tokens(length=4))
    assert report.passed, report
    assert "cross-attention" in report.modules[0].what


def test_what_mixes_tokens_without_attention_is_none() -> None:
    class Convolution(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Conv1d(EMBED_DIM, EMBED_DIM, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.mix(x.mT).mT
            return output

    report = examine(nn.Sequential(Convolution(), nn.Linear(EMBED_DIM, EMBED_DIM)), tokens())
    assert not report.modules
    assert not report.passed
    assert "no attention was found" in str(report)
    with pytest.raises(ValueError, match="no attention was examined"):
        report.raise_for_bugs()


def test_a_call_that_raises_is_a_finding() -> None:
    report = examine(nn.Linear(3, 3), tokens())
    assert report.findings[0].what == "the call raises"
    assert "RuntimeError" in report.findings[0].yours


def test_bugs_are_raised_unless_they_are_meant() -> None:
    report = examine(Wrong(), tokens())
    with pytest.raises(AttentionBugError, match="scaled_by_embed_dim"):
        report.raise_for_bugs()
    report.raise_for_bugs(allow={"scaled_by_embed_dim"})


def test_causality_is_a_bug_only_if_it_is_declared() -> None:
    module = SplitMultiHeadAttention(EMBED_DIM, NUM_HEADS)
    assert examine(module, tokens()).passed
    report = examine(module, tokens(), expect=Expect(causal=True))
    assert [finding.mistake for finding in report.findings] == ["causal_mask_shifted"]


def test_a_report_is_text_json_and_a_page() -> None:
    class Evil(Wrong):
        pass

    Evil.__name__ = "<script>alert(1)</script>"
    report = examine(Evil(), tokens())
    assert repr(report) == str(report)
    content = json.loads(report.as_json())
    assert content["passed"] is False
    assert content["modules"][0]["findings"][0]["mistake"] == "scaled_by_embed_dim"
    page = report._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<code>head_dim ** 0.5</code>" in page
    assert "scaled_by_embed_dim" in page


def test_one_bug_takes_eight_lines_at_the_most() -> None:
    assert len(str(examine(Wrong(), tokens())).splitlines()) <= 8


@pytest.mark.parametrize("count", range(1, 8))
def test_many_bugs_take_no_more_lines(count: int) -> None:
    findings = [
        Finding(f"what {i}", f"name_{i}", "cause", "thread", f"mend {i}", f"call {i}", "1", "2")
        for i in range(count)
    ]
    module = ModuleReport("here", "Attention", findings, ["a"], ["b"], ["c"])
    text = "\n".join(module.lines())
    assert len(module.lines()) <= 8
    assert all(f"name_{i}" in text for i in range(count))


def test_a_thing_that_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, got function"):
        examine(tokens, tokens())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Expect()),
        ("causal", Expect(causal=True)),
        ("causal=no, mask=block", Expect(causal=False, mask="block")),
        ("batch-first,scaled=yes", Expect(batch_first=True, scaled=True)),
    ],
)
def test_what_is_expected_is_read_from_words(text: str, expected: Expect) -> None:
    assert Expect.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("casual", "expected one of causal, mask"),
        ("mask=True", "mask must be one of keep, block, add, got 'True'"),
        ("causal=maybe", "expected yes or no"),
    ],
)
def test_words_that_are_not_known_are_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Expect.parse(text)
