"""Train the date translator: seeded, logged, stopped early, and resumed after any interruption."""

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cleanformer_lite.files import write_file
from cleanformer_lite.threads import in_threads
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.corpus import Pairs, as_tensors
from cleanformer_lite.translation.decoding import exact_match
from cleanformer_lite.translation.vocabulary import PAD, PIECES

SIZES = {"embed_dim": 64, "num_heads": 4, "layers": 2, "hidden": 128}


def loss_of(model: Transformer, source: Tensor, target: Tensor) -> Tensor:
    """Ask at each position for the next piece; padding does not count."""
    logits = model(source, target[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)


def learning_rate(step: int, steps: int, top: float, warm_up: int = 100) -> float:
    """Rise in a line for `warm_up` steps, then fall in a line to zero at the end."""
    return top * min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))


class Trainer:
    """One training run in one folder.

    What happens in a step depends on the seed and the number of the step alone, so a run that was
    killed and resumed ends with the same weights as one that was not.
    """

    def __init__(
        self, model: Transformer, folder: Path, *, seed: int = 0, steps: int = 1200,
        batch: int = 64, top_rate: float = 3e-3, threads: int = 1,
    ) -> None:  # fmt: skip
        self.model = model
        self.folder = folder
        self.seed = seed
        self.steps = steps
        self.batch = batch
        self.top_rate = top_rate
        self.threads = threads  # the tensors are small: more than one is seldom faster
        self.optimizer = torch.optim.Adam(model.parameters(), lr=top_rate, betas=(0.9, 0.98))
        self.step = 0
        self.seconds = 0.0  # by the clock, and of computing: they part on a busy machine
        self.cpu_seconds = 0.0
        self.log: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def settings(self) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        shapes = {name: list(p.shape) for name, p in self.model.named_parameters()}
        numbers = [self.seed, self.steps, self.batch, self.top_rate]
        return {"seed, steps, batch, top rate": numbers, "parameters": shapes}

    def one_step(self, source: Tensor, target: Tensor) -> float:
        """Take one step on a batch that the seed and the step's number choose."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        chosen = torch.randint(len(source), (self.batch,), generator=generator)
        torch.manual_seed(self.seed * 1_000_003 + self.step)  # for dropout, if there is any
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.steps, self.top_rate)
        loss = loss_of(self.model, source[chosen], target[chosen])
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def save(self) -> None:
        """Keep everything that the next step needs, all of it or nothing; then the log.

        The log in the folder is written from the checkpoint's, so the two cannot disagree for long.
        """
        state = {
            "settings": json.dumps(self.settings), "step": self.step,
            "seconds": [self.seconds, self.cpu_seconds], "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(), "log": json.dumps(self.log),
        }  # fmt: skip
        whole = io.BytesIO()
        torch.save(state, whole)
        write_file(self.folder / "checkpoint.pt", whole.getvalue())
        lines = "".join(json.dumps(line) + "\n" for line in self.log)
        write_file(self.folder / "log.jsonl", lines)

    def resume(self) -> bool:
        """Take up the run in the folder; returns whether there was one.

        Raises: ValueError if it cannot be read, or was made with other settings.
        """
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return False
        try:
            state = torch.load(path, weights_only=True)
        except Exception as error:
            raise ValueError(f"{path} is damaged or no checkpoint: {error}") from error
        if not isinstance(state, dict) or "settings" not in state:
            raise ValueError(f"{path} is no checkpoint of a training run")
        if state["settings"] != json.dumps(self.settings):
            raise ValueError(f"{path} was made with other settings; give another folder")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, (self.seconds, self.cpu_seconds) = state["step"], state["seconds"]
        self.log = json.loads(state["log"])
        return True

    def run(
        self, train: Pairs, check: Pairs, *, every: int = 100, enough: float = 1.0,
        patience: int = 10, progress: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        """Train to the last step, until `enough` is right, or until `patience` checks without gain.

        Every `every` steps it checks, logs and saves. torch gets its number of threads back.
        """
        with in_threads(self.threads):
            self._run(train, check, every, enough, patience, progress)

    def _run(
        self, train: Pairs, check: Pairs, every: int, enough: float, patience: int,
        progress: Callable[[str], None] | None,
    ) -> None:  # fmt: skip
        source, target = as_tensors(train)
        began, losses = time.monotonic() - self.seconds, []
        began_cpu = time.process_time() - self.cpu_seconds
        while self.step < self.steps and not self.may_stop(enough, patience):
            losses.append(self.one_step(source, target))
            if progress is not None:
                progress(bar(self.step, self.steps, losses[-1]))
            if self.step % every == 0 or self.step == self.steps:
                right = exact_match(self.model, *check)
                self.seconds = time.monotonic() - began
                self.cpu_seconds = time.process_time() - began_cpu
                line = {"step": self.step, "loss": round(sum(losses) / len(losses), 5)}
                self.log.append({**line, "exact": right, "seconds": round(self.seconds, 1)})
                losses = []
                self.save()

    def may_stop(self, enough: float, patience: int) -> bool:
        """Say whether the checks so far are good enough, or have stopped getting better."""
        scores = [line["exact"] for line in self.log]
        best = max(scores, default=0.0)
        # Two checks in a row: one may be luck.
        if scores[-2:] and len(scores) > 1 and min(scores[-2:]) >= enough:
            return True
        return best > 0 and len(scores) - 1 - scores.index(best) >= patience


def new_model(**options: Any) -> Transformer:
    """Build the translator for the vocabulary of dates."""
    return Transformer(len(PIECES), padding=PAD, **options)


def bar(step: int, steps: int, loss: float) -> str:
    """Draw how far it has come."""
    filled = 30 * step // steps
    return f"[{'#' * filled}{'.' * (30 - filled)}] {step}/{steps} loss {loss:.4f}"


def print_bar(text: str) -> None:
    """Show a progress bar on standard error, where there is somebody to see it."""
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
