"""A model is given back as it was, whatever happens on the way."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

from cleanformer_lite import examine
from cleanformer_lite.checks import examination

EMBED_DIM = 12


class Kept(nn.Module):
    """Has all that can be lost: buffers, a tied and a frozen weight, a hook, a rate, a memory."""

    def __init__(self, at_call: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.qkv = nn.Linear(EMBED_DIM, 3 * EMBED_DIM)
        self.out = nn.Linear(EMBED_DIM, EMBED_DIM)
        self.also = self.out
        self.norm = nn.BatchNorm1d(EMBED_DIM)
        self.drop = nn.Dropout(0.3)
        self.qkv.bias.requires_grad_(False)
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.last: Tensor | None = None
        self.at_call = at_call
        self.heard: list[str] = []
        self.out.register_forward_hook(lambda *_: self.heard.append("out"))

    def forward(self, x: Tensor) -> Tensor:
        self.at_call()
        np.random.rand()
        random.random()
        torch.rand(())
        self.last = x
        query, key, value = self.qkv(x).chunk(3, -1)
        weights = self.drop((query @ key.mT / EMBED_DIM**0.5).softmax(-1))
        output: Tensor = self.norm(self.out(weights @ value).mT).mT
        return output


class Stop:
    """Raises in one of many calls."""

    def __init__(self, error: type[BaseException], number: int) -> None:
        self.error, self.left = error, number

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error("stopped")

    def __deepcopy__(self, memo: Any) -> "Stop":
        return self


def state(model: nn.Module) -> dict[str, Any]:
    """Write down all that must stay."""
    return {
        "weights": [t.detach().clone() for t in (*model.parameters(), *model.buffers())],
        "are": [id(t) for t in (*model.parameters(), *model.buffers())],
        "learn": [p.requires_grad for p in model.parameters()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "modes": [part.training for part in model.modules()],
        "hooks": [[*part._forward_hooks, *part._forward_pre_hooks] for part in model.modules()],
        "global hooks": list(modules._global_forward_hooks),
        "random": [torch.get_rng_state(), torch.tensor(random.getstate()[1][:9]).double()],
        "numpy": [str(part) for part in np.random.get_state()],
        "place": [torch.get_num_threads(), torch.is_grad_enabled()],
    }


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs)


def used(at_call: Callable[[], None] = lambda: None) -> tuple[Kept, Tensor]:
    """Make a model in the middle of its training."""
    torch.manual_seed(0)
    model, x = Kept(at_call), torch.randn(3, 5, EMBED_DIM)
    model(x).sum().backward()
    model.norm.eval()
    return model, x


def changed(before: dict[str, Any], model: nn.Module) -> list[str]:
    return [name for name, value in state(model).items() if not same(value, before[name])]


def test_nothing_is_changed() -> None:
    model, x = used()
    before, given = state(model), x.clone()
    assert examine(model, x).modules
    assert changed(before, model) == []
    assert torch.equal(x, given)


# Call 1 is made in training, call 2 is the one that is watched, later ones are of the copy.
@pytest.mark.parametrize("number", [2, 3, 5, 9])
@pytest.mark.parametrize("error", [ValueError, RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_is_changed_by_a_call_that_raises(error: type[BaseException], number: int) -> None:
    model, x = used(Stop(error, number))
    before = state(model)
    if issubclass(error, Exception):
        examine(model, x)
    else:
        with pytest.raises(error):
            examine(model, x)
    assert changed(before, model) == []


def test_nothing_is_changed_where_a_question_is_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(examination.dropout, "drops_in_training", interrupt)
    model, x = used()
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        examine(model, x)
    assert changed(before, model) == []


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_is_asked_with_gradients_wherever_it_is_asked(mode: Callable[[], Any]) -> None:
    model, x = used()
    with mode():
        report = examine(model, x)
    assert "every parameter matrix gets a gradient" in report.holds
    assert report.passed, report


def test_weights_without_values_are_refused() -> None:
    with torch.device("meta"):
        model = Kept()
    with pytest.raises(ValueError, match="parameters loaded, got some on the meta device"):
        examine(model, torch.randn(2, 4, EMBED_DIM))


class Remembers(nn.Module):
    """Keeps the keys of every call, as a cache in a module does."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(EMBED_DIM, 3 * EMBED_DIM)
        self.keys: list[Tensor] = []
        self.values: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).chunk(3, -1)
        self.keys.append(key)
        self.values = value if self.values is None else torch.cat([self.values, value], 1)
        scores = query @ torch.cat(self.keys, 1).mT / EMBED_DIM**0.5
        output: Tensor = scores.softmax(-1) @ self.values
        return output


def test_a_memory_of_earlier_calls_is_no_bug() -> None:
    report = examine(Remembers(), torch.randn(2, 4, EMBED_DIM))
    assert report.passed, report
    assert "two calls in eval() agree" in report.holds


def test_tokens_are_found_in_a_list() -> None:
    class Takes(Remembers):
        def forward(self, both: list[Tensor]) -> Tensor:  # type: ignore[override]
            query, key, value = (layer.chunk(3, -1) for layer in map(self.qkv, (*both, both[1])))
            weights: Tensor = (query[0] @ key[1].mT / EMBED_DIM**0.5).softmax(-1)
            output: Tensor = weights @ value[2]
            return output

    both = [torch.randn(2, 4, EMBED_DIM), torch.randn(2, 7, EMBED_DIM)]
    kept = [x.clone() for x in both]
    report = examine(Takes(), both)
    assert report.passed, report
    assert "cross-attention" in report.modules[0].what
    assert all(map(torch.equal, both, kept))
