import copy
import io
import itertools
import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cleanformer_lite import SplitMultiHeadAttention
from cleanformer_lite.translation.corpus import as_tensors, three_parts
from cleanformer_lite.translation.korean_dates import every_day
from cleanformer_lite.translation.training import (
    Trainer,
    learning_rate,
    loss_of,
    new_model,
    print_bar,
)
from cleanformer_lite.translation.vocabulary import NUMBERS

PAIRS = (
    ["이천년 유월 일일 목요일", "천구백년 시월 이십삼일 화요일"],
    ["Thursday, June 1, 2000", "Tuesday, October 23, 1900"],
)
TINY = {"embed_dim": 12, "num_heads": 3, "layers": 1, "hidden": 7}


def trainer(folder: Path, steps: int = 6, seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    return Trainer(new_model(**TINY), folder, steps=steps, batch=3, seed=seed)


def weights(run: Trainer) -> Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def run(one: Trainer) -> Tensor:
    one.run(PAIRS, PAIRS, every=2)
    return weights(one)


def test_the_three_parts_are_all_days_and_share_none() -> None:
    parts = three_parts()
    sizes = [len(part[0]) for part in parts]
    assert sizes == [len(every_day()) - 7305 - 500, 500, 7305]
    together = [text for part in parts for text in part[1]]
    assert len(set(together)) == len(every_day())
    assert three_parts() == parts
    # The shipped model was trained on this share and no other: held out must stay held out.
    assert [part[1][0] for part in parts] == [
        "Saturday, March 29, 1930",
        "Friday, February 22, 2047",
        "Monday, May 10, 1965",
    ]
    assert parts[2][1][-1] == "Friday, June 5, 2082"
    for decade in range(190, 210):
        days = [text for text in parts[2][1] if text[-4:-1] == str(decade)]
        assert 0.08 < len(days) / 3652 < 0.12


def test_the_loss_by_hand() -> None:
    torch.manual_seed(0)
    model = new_model(**TINY).double()
    source, target = as_tensors(PAIRS)
    logits = model(source, target).tolist()
    costs = []
    for row, said in zip(logits, target.tolist(), strict=True):
        for place, piece in enumerate(said[1:]):
            if piece != NUMBERS["<pad>"]:
                whole = math.log(sum(map(math.exp, row[place])))
                costs.append(whole - row[place][piece])
    assert loss_of(model, source, target).item() == pytest.approx(sum(costs) / len(costs))


def test_the_rate_rises_then_falls_to_zero() -> None:
    rates = [learning_rate(step, 1000, 0.5) for step in range(1001)]
    assert max(rates) == 0.5
    assert rates.index(0.5) == 99
    assert all(a < b for a, b in itertools.pairwise(rates[:100]))
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))
    assert rates[0] == pytest.approx(0.005)
    assert rates[1000] == 0.0


def test_three_steps_by_hand(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = new_model(**TINY).double()
    pair = ([PAIRS[0][0]], [PAIRS[1][0]])  # one pair: every batch is made of it
    ours = copy.deepcopy(model)
    one = Trainer(ours, tmp_path, steps=1000, batch=3, top_rate=0.02)
    parameters = list(model.parameters())
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    lengths = []
    for step in range(1, 4):
        one.one_step(*as_tensors(pair))
        gradients = torch.autograd.grad(loss_of(model, *as_tensors(pair)), parameters)
        length = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        lengths.append(length)
        with torch.no_grad():
            for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                shortened = g / max(1.0, length)
                m.mul_(0.9).add_(0.1 * shortened)
                v.mul_(0.98).add_(0.02 * shortened**2)
                scaled = (m / (1 - 0.9**step)) / ((v / (1 - 0.98**step)).sqrt() + 1e-8)
                p.sub_(0.02 * step / 100 * scaled)
    assert max(lengths) > 1.5  # long enough to be shortened
    for mine, theirs in zip(parameters, ours.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6, rtol=0.0)


def test_dropout_hangs_on_seed_and_step_alone(tmp_path: Path) -> None:
    losses = []
    for drawn_before in (0, 7):
        torch.manual_seed(0)
        model = new_model(**TINY, attention=partial(SplitMultiHeadAttention, dropout=0.5))
        torch.rand(drawn_before)
        one = Trainer(model, tmp_path, steps=6, batch=3)
        losses.append([one.one_step(*as_tensors(PAIRS)) for _ in range(2)])
    assert losses[0] == losses[1]


def test_a_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (
        run(trainer(tmp_path / str(i), seed=seed)) for i, seed in enumerate((3, 3, 4))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("killed_at", [1, 2, 3, 5])
def test_killed_and_resumed_is_as_never_killed(tmp_path: Path, killed_at: int) -> None:
    whole = trainer(tmp_path / "whole")
    expected = run(whole)

    class Killed(BaseException):
        pass

    killed = trainer(tmp_path / "killed")
    steps = iter(range(1, 100))

    def stop(_: str) -> None:
        if next(steps) == killed_at:
            raise Killed

    with pytest.raises(Killed):
        killed.run(PAIRS, PAIRS, every=2, progress=stop)
    second = trainer(tmp_path / "killed")
    assert second.resume() == (killed_at > 2)
    assert second.step == (killed_at - 1) // 2 * 2
    assert torch.equal(run(second), expected)
    keep = [{k: line[k] for k in ("step", "loss", "exact")} for line in whole.log]
    lines = (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    assert [{k: json.loads(s)[k] for k in ("step", "loss", "exact")} for s in lines] == keep
    assert [line["step"] for line in keep] == [2, 4, 6]


def test_the_clocks_go_on_where_they_stood(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    run(one)
    one.step, one.seconds, one.cpu_seconds = 4, 5000.0, 3000.0
    one.save()
    again = trainer(tmp_path)
    again.resume()
    run(again)
    assert again.seconds > 5000.0
    assert 3000.0 < again.cpu_seconds < 5000.0
    assert again.log[-1]["seconds"] >= 5000.0


def test_the_log_holds_means_and_the_last_step(tmp_path: Path) -> None:
    by_hand, logged = trainer(tmp_path / "a", 5), trainer(tmp_path / "b", 5)
    said: list[str] = []
    losses = [by_hand.one_step(*as_tensors(PAIRS)) for _ in range(5)]
    logged.run(PAIRS, PAIRS, every=2, progress=said.append)
    means = [sum(losses[:2]) / 2, sum(losses[2:4]) / 2, losses[4]]
    assert [line["step"] for line in logged.log] == [2, 4, 5]
    assert [line["loss"] for line in logged.log] == [pytest.approx(m, abs=1e-5) for m in means]
    assert [text.split("] ")[1] for text in said] == [
        f"{step}/5 loss {loss:.4f}" for step, loss in enumerate(losses, start=1)
    ]
    assert [text.count("#") for text in said] == [6, 12, 18, 24, 30]
    assert {text.index("]") for text in said} == {31}


def test_the_bar_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    print_bar("[###...] 1/2")
    assert capsys.readouterr().err == ""


def test_the_bar_stays_on_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", screen)
    print_bar("[###...] 1/2")
    assert screen.getvalue() == "\r[###...] 1/2"


@pytest.mark.parametrize(
    ("scores", "stops"),
    [
        ([], False),
        ([1.0], False),
        ([0.2, 1.0], False),
        ([1.0, 1.0], True),
        ([0.9, 0.8, 0.7], False),
        ([0.9, 0.8, 0.7, 0.9], True),
        ([0.0, 0.0, 0.0, 0.0, 0.0], False),
    ],
)
def test_when_it_stops_early(tmp_path: Path, scores: list[float], stops: bool) -> None:
    one = trainer(tmp_path)
    one.log = [{"exact": score} for score in scores]
    assert one.may_stop(enough=1.0, patience=3) == stops
    if stops:
        run(one)
        one.run(PAIRS, PAIRS)


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    run(trainer(tmp_path))
    with pytest.raises(ValueError, match="made with other settings"):
        trainer(tmp_path, seed=1).resume()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged or no checkpoint"):
        trainer(tmp_path).resume()
    torch.save({"step": 1}, path)
    with pytest.raises(ValueError, match="is no checkpoint of a training run"):
        trainer(tmp_path).resume()


def test_it_learns_two_dates_by_heart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one = Trainer(new_model(**TINY), tmp_path, steps=300, batch=4, top_rate=1e-2)
    one.run(PAIRS, PAIRS, every=20)
    assert one.log[-1]["exact"] == 1.0
    assert one.step < 300
