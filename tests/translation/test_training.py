import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cleanformer_lite.translation.corpus import as_tensors, three_parts
from cleanformer_lite.translation.korean_dates import every_day
from cleanformer_lite.translation.training import (
    Trainer,
    learning_rate,
    loss_of,
    new_model,
    write_whole,
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


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def half(partial: Path) -> None:
        partial.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert path.read_text() == "old"
    write_whole(path, lambda partial: partial.write_text("new"))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "new"


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
