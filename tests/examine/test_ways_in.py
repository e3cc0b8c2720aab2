"""The command line, and the plug-in for pytest."""

import subprocess
import sys
from pathlib import Path

import pytest

from cleanformer_lite.cli import main

RIGHT = "cleanformer_lite:SplitMultiHeadAttention"
WRONG = "cleanformer_lite:HeadsBuiltInForward"
SUITE = """
import torch
from cleanformer_lite import HeadsBuiltInForward, SplitMultiHeadAttention

def test_right(assert_attention):
    assert assert_attention(SplitMultiHeadAttention(12, 3), torch.randn(2, 5, 12)).passed

def test_wrong(assert_attention):
    assert_attention(HeadsBuiltInForward(12, 3), torch.randn(2, 5, 12))

def test_allowed(assert_attention):
    allow = {"built_in_forward"}
    assert_attention(HeadsBuiltInForward(12, 3), torch.randn(2, 5, 12), allow=allow)
"""


def test_every_door_leads_to_the_function() -> None:
    import cleanformer_lite
    from cleanformer_lite import checks
    from cleanformer_lite.checks import examination

    for door in (cleanformer_lite, checks, examination):
        assert callable(door.examine)
        assert door.examine is examination.examine
        assert door.Expect is examination.Expect


TORCH = "torch.nn:MultiheadAttention"  # wants key and value


@pytest.mark.parametrize(("target", "code"), [(RIGHT, 0), (WRONG, 1), (TORCH, 0)])
def test_the_exit_code_says_what_was_found(
    target: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["examine", target, "--embed-dim", "12", "--num-heads", "3"]) == code
    assert ("built_in_forward" in capsys.readouterr().out) == bool(code)


def test_nothing_to_examine_is_neither(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["examine", "torch.nn:Identity"]) == 2
    assert "no attention was found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("torch.nn", "expected PKG.MOD:NAME"),
        ("no_such_module:A", "cannot import no_such_module"),
        ("torch.nn:NoSuch", "torch.nn has no 'NoSuch'"),
        ("torch:float32", "expected a class or a function that builds a module, got dtype"),
        ("torch.nn:Bilinear", "name a function that takes nothing and returns the module"),
        ("torch:is_grad_enabled", "it gave bool, expected a torch.nn.Module"),
        ("models/heads.py:Mine", "got a path: write models.heads:Mine"),
    ],
)
def test_a_target_that_cannot_be_examined_says_why(
    target: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["examine", target]) == 2
    says_all = capsys.readouterr()
    assert says in says_all.err
    assert len(says_all.err.splitlines()) == 1


def test_an_example_makes_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine_to_examine.py").write_text(
        "import torch\n"
        "def make_model():\n    return torch.nn.MultiheadAttention(12, 3, batch_first=True)\n"
        "def make_call():\n    x = torch.randn(2, 5, 12)\n    return x, x, x\n"
    )
    monkeypatch.chdir(tmp_path)
    target, example = "mine_to_examine:make_model", "mine_to_examine:make_call"
    assert main(["examine", target, "--example", example, "--html", "report.html"]) == 0
    assert "Attention examined" in (tmp_path / "report.html").read_text()


def test_the_plug_in_needs_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "--attention-report", "report.html"]
    command += ["-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "built_in_forward" in done.stdout
    assert "built_in_forward" in (tmp_path / "report.html").read_text()
