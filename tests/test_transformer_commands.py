import argparse
from pathlib import Path

import pytest

from cleanformer_lite.commands import translator


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    translator.add_to(commands)
    chosen = parser.parse_args(arguments)
    code: int = chosen.run(chosen)
    return code


def test_translate(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("translate", "이천이십육년 십일월 이십삼일 월요일") == 0
    assert capsys.readouterr().out == "Monday, November 23, 2026\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "got nothing"), ("월", "position 1: wanted a year"), ("a", "position 1")],
)
def test_what_is_no_date_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run("translate", text)


def test_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "--days", "50") == 0
    said = capsys.readouterr().out
    assert said.startswith("exact match on 50 held-out days: ")
    assert float(said.split()[-2]) >= 96
    with pytest.raises(ValueError, match="at least one day, got 0"):
        run("evaluate", "--days", "0")


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run("evaluate", "--model", str(tmp_path / "none"), "--days", "1")


def test_train_writes_model_and_log_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import cleanformer_lite.translation.corpus as corpus

    parts = corpus.three_parts()
    monkeypatch.setattr(corpus, "three_parts", lambda: [(a[:20], b[:20]) for a, b in parts])
    folder = str(tmp_path / "run")
    assert run("train", folder, "--steps", "3", "--batch", "2", "--threads", "1") == 0
    assert "resumed" not in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"checkpoint.pt", "log.jsonl", "korean_dates.safetensors"}
    assert run("train", folder, "--steps", "3", "--batch", "2", "--threads", "1") == 0
    assert "resumed at step 3" in capsys.readouterr().out
    model = str(tmp_path / "run" / "korean_dates.safetensors")
    assert run("evaluate", "--model", model, "--days", "3") == 0
    with pytest.raises(ValueError, match="steps and batch of at least 1"):
        run("train", folder, "--steps", "0")
