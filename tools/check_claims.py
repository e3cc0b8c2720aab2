"""Print, for several starts, the numbers behind every claim that a chapter makes about training.

A chapter shows one start or three. `make` does not call this: it takes minutes. Run it from the
root, `python tools/check_claims.py`, with the seeds to try (3, 4 and 5 if none are given) or with
`--only` and the words of one claim.
"""

import argparse
import math
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cleanformer_lite import (
    FusedMultiHeadAttention,
    HeadsBuiltInForward,
    HeadsInPlainList,
    LoopedMultiHeadAttention,
    SingleHeadAttention,
    SlicedMultiHeadAttention,
    SplitMultiHeadAttention,
    copy_weights,
)
from cleanformer_lite.copy_back import (
    CopyBackModel,
    copy_back_accuracy,
    copy_back_batch,
    train_copy_back,
)
from cleanformer_lite.retrieval import (
    FEATURES,
    accuracy_without_matching,
    retrieval_accuracy,
    train_retrieval,
)
from cleanformer_lite.translation.corpus import as_tensors, three_parts
from cleanformer_lite.translation.swap_attention import swap_attention
from cleanformer_lite.translation.training import loss_of, new_model

Numbers = Iterator[tuple[str, float]]
CLAIMS: dict[str, Callable[[int], Numbers]] = {}


def claim(words: str) -> Callable[[Callable[[int], Numbers]], Callable[[int], Numbers]]:
    """Enter a function of the seed under the claim whose numbers it yields."""

    def entered(numbers: Callable[[int], Numbers]) -> Callable[[int], Numbers]:
        CLAIMS[words] = numbers
        return numbers

    return entered


@claim("1: told what to answer, a head learns where to look")
def equal_words(seed: int) -> Numbers:
    """Yield by how many positions the answer is off, and the attention that equal words get."""
    torch.manual_seed(seed)
    kinds, length = 16, 13
    positions = (torch.arange(length) / length)[:, None].expand(length, kinds)
    head, readout = SingleHeadAttention(kinds, head_dim=8), nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*head.parameters(), *readout.parameters()], lr=0.03)
    for _ in range(200):
        names = torch.rand(32, kinds).argsort(-1).gather(1, torch.randint(8, (32, length)))
        x = torch.eye(kinds)[names]
        same = x @ x.mT
        target = same / same.sum(-1, keepdim=True) @ positions[:, :1]
        output, weights = head(x, x, positions.expand(32, -1, -1), need_weights=True)
        loss = (readout(output) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    yield "off by", length * loss.item() ** 0.5
    yield "always the same answer", length * target.std().item()
    yield "attention to equal words", (weights[:, 0] * same).sum(-1).mean().item()


@claim("2: with a residual the loss falls although every call has new heads")
def new_heads(seed: int) -> Numbers:
    """Yield mean losses of the last 50 steps; one that knows nothing pays ln 8."""
    for residual in (True, False):
        _, losses = train_copy_back(
            lambda: HeadsBuiltInForward(32, 4), 32, residual=residual, seed=seed
        )
        name = "loss with residual" if residual else "without"
        yield name, sum(losses[-50:]) / 50
    yield "ln 8", math.log(8)


@claim("2: heads in a plain list solve the task without moving, and guess once loaded")
def plain_list(seed: int) -> Numbers:
    """Yield how often the model is right before saving and after loading, and the heads' change."""

    def build() -> HeadsInPlainList:
        return HeadsInPlainList(32, 4)

    model, _ = train_copy_back(build, 32, seed=seed)
    untrained, _ = train_copy_back(build, 32, seed=seed, steps=0)
    yield "right before saving", copy_back_accuracy(model, (3,))
    loaded = CopyBackModel(build(), 32, length=9, offsets=1, residual=True)
    loaded.load_state_dict(model.state_dict())
    yield "after loading", copy_back_accuracy(loaded, (3,))
    now, then = (m.attention.heads[0].q_proj.weight for m in (model, untrained))  # type: ignore[union-attr,index]
    yield "change of a head's weight", (now - then).abs().max().item()


@claim("2: heads in a plain list learn later than the same heads in a ModuleList")
def later(seed: int) -> Numbers:
    """Yield in which step the loss first falls below 0.5."""
    for kind in (HeadsInPlainList, LoopedMultiHeadAttention):
        _, losses = train_copy_back(lambda kind=kind: kind(32, 4), 32, seed=seed)  # type: ignore[misc]
        yield kind.__name__, next(step for step, loss in enumerate(losses) if loss < 0.5)


@claim("3: two heads make two questions easy; one head needs more of something else")
def one_head_or_two(seed: int) -> Numbers:
    """Yield the share of right letters, one and three positions back."""
    trials = {
        "two heads": (2, 250, 0),
        "one": (1, 250, 0),
        "one, 1,000 steps": (1, 1000, 0),
        "4,000 steps": (1, 4000, 0),
        "hidden layer of 128": (1, 250, 128),
    }
    for name, (heads, steps, hidden) in trials.items():
        model, _ = train_copy_back(
            lambda heads=heads: LoopedMultiHeadAttention(32, heads),  # type: ignore[misc]
            32,
            offsets=(1, 3),
            seed=seed,
            steps=steps,
            hidden=hidden,
        )
        yield name, copy_back_accuracy(model, (1, 3))


@claim("4: with equal weights, loop and split stay together under SGD and Adam, not under all")
def stay_together(seed: int) -> Numbers:
    """Yield the largest difference of the outputs after 20 steps."""
    for name in ("SGD", "Adam", "Adafactor"):
        torch.manual_seed(seed)
        loop, split = LoopedMultiHeadAttention(32, 4), SplitMultiHeadAttention(32, 4)
        copy_weights(loop, split)
        models = []
        for attention in (loop, split):
            torch.manual_seed(seed + 1)
            models.append(CopyBackModel(attention, 32, 9, 1, residual=True).double())
        for model in models:
            take_steps(model, getattr(torch.optim, name)(model.parameters(), lr=0.01), seed)
        letters, _ = copy_back_batch(32, 9, (3,), torch.Generator().manual_seed(seed))
        yield name, (models[0](letters) - models[1](letters)).abs().max().item()


@claim("4: a split does what a loop of three heads has learned")
def take_over(seed: int) -> Numbers:
    """Yield the share of right letters one, two and three positions back, before and after."""
    offsets = (1, 2, 3)
    model, _ = train_copy_back(
        lambda: LoopedMultiHeadAttention(24, 3), 24, offsets=offsets, steps=400, seed=seed
    )
    yield "with the loop", copy_back_accuracy(model, offsets)
    split = SplitMultiHeadAttention(24, 3)
    copy_weights(model.attention, split)
    model.attention = split
    yield "with the split", copy_back_accuracy(model, offsets)


def take_steps(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    """Train for 20 steps on the task of chapter 2."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(20):
        letters, targets = copy_back_batch(32, 9, (3,), generator)
        loss = nn.functional.cross_entropy(model(letters).flatten(0, 2), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class Mixed(nn.Module):
    """Sliced heads behind a linear layer."""

    embed_dim = FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.sliced = nn.Linear(FEATURES, FEATURES), SlicedMultiHeadAttention(FEATURES, 2)

    def forward(self, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Mix, then attend."""
        return self.sliced(self.mix(query), self.mix(memory))  # type: ignore[no-any-return]


@claim("5: sliced heads fail where key and value stand apart, unless a linear layer mixes first")
def sliced(seed: int) -> Numbers:
    """Yield the share of right values."""
    trials: dict[str, Callable[[], nn.Module]] = {
        "split": lambda: SplitMultiHeadAttention(FEATURES, 2),
        "sliced": lambda: SlicedMultiHeadAttention(FEATURES, 2),
        "sliced behind a linear layer": Mixed,
    }
    for name, build in trials.items():
        model = train_retrieval(build, "apart", steps=300, seed=seed)
        yield name, retrieval_accuracy(model, "apart")
    model = train_retrieval(trials["sliced"], "apart", budget=8000, steps=600, seed=seed)
    yield "sliced with more of everything", retrieval_accuracy(model, "apart")
    yield "bound without matching", accuracy_without_matching()


@claim("5: a linear layer does not make sliced heads whole: a random split teacher")
def imitate(seed: int) -> Numbers:
    """Yield the share of the teacher's variance that a student leaves unexplained."""
    students: dict[str, Callable[[], nn.Module]] = {
        "split": lambda: SplitMultiHeadAttention(FEATURES, 2),
        "sliced behind a linear layer": Mixed,
    }
    for name, build in students.items():
        torch.manual_seed(seed)
        teacher = SplitMultiHeadAttention(FEATURES, 2)
        with torch.no_grad():
            for p in teacher.parameters():
                p.mul_(4)
        student = build()
        optimizer = torch.optim.Adam(student.parameters(), lr=0.003)
        for _ in range(3000):
            query, memory = torch.randn(64, 1, FEATURES), torch.randn(64, 4, FEATURES)
            wanted = teacher(query, memory).detach()
            loss = (student(query, memory) - wanted).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        query, memory = torch.randn(2000, 1, FEATURES), torch.randn(2000, 4, FEATURES)
        wanted = teacher(query, memory)
        missed = (student(query, memory) - wanted).var() / wanted.var()
        yield name, missed.item()


@claim("6: heads learn through the fused kernel as well")
def through_the_kernel(seed: int) -> Numbers:
    """Yield the share of right letters, one and three positions back."""
    model, _ = train_copy_back(
        lambda: FusedMultiHeadAttention(32, 2), 32, offsets=(1, 3), seed=seed
    )
    yield "right", copy_back_accuracy(model, (1, 3))


@claim("7: in five steps of training, looped, split and fused heads do not part in five digits")
def five_steps(seed: int) -> Numbers:
    """Yield how far the losses of the loop and the kernel lie from those of the split, at most."""
    training = three_parts()[0]
    losses = {}
    for kind in (SplitMultiHeadAttention, LoopedMultiHeadAttention, FusedMultiHeadAttention):
        torch.manual_seed(seed)
        model = swap_attention(new_model(), kind).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        losses[kind.__name__] = torch.empty(5)
        for step in range(5):
            sources, targets = (texts[32 * step :][:32] for texts in training)
            loss = loss_of(model, *as_tensors((sources, targets)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[kind.__name__][step] = loss.detach()
    split = losses.pop("SplitMultiHeadAttention")
    for name, others in losses.items():
        yield name, (others - split).abs().max().item()


def main() -> None:
    """Try every claim with every seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[3, 4, 5])
    parser.add_argument("--only", default="", help="words of the one claim to try")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.machine()}, CPU, one thread")
    for words, numbers in CLAIMS.items():
        if arguments.only not in words:
            continue
        print(f"\n{words}", flush=True)
        for seed in arguments.seeds:
            found = ", ".join(f"{name} {number:.3g}" for name, number in numbers(seed))
            print(f"  seed {seed}: {found}", flush=True)


if __name__ == "__main__":
    main()
