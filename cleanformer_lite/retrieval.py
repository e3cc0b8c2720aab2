"""A task that asks where a head reads: find an item by its key, and say its value.

Two such problems at once fill 16 features: two keys and two values of four each. Only their order
differs. Together: each half of the features holds one problem, key and value. Apart: one half holds
both keys, the other both values.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.threads import one_thread

CHOICES = 4  # keys to tell apart, values to tell apart, items in the memory
FEATURES = 4 * CHOICES
# Where each feature of key 1, value 1, key 2, value 2 is put.
LAYOUTS = {"together": (0, 1, 2, 3), "apart": (0, 2, 1, 3)}


def retrieval_batch(
    batch: int, layout: str, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw memories of four items, and a query that names a key of each of the two problems.

    Shapes: query `(N, 1, 16)`, memory `(N, 4, 16)`, targets `(N, 2)` of value numbers 0 to 3.

    Raises: ValueError for a layout that is not one of `LAYOUTS`.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"wanted a layout of {list(LAYOUTS)}, got {layout!r}")
    queries, memories, targets = [], [], []
    for _ in range(2):
        keys = torch.rand(batch, CHOICES, generator=generator).argsort(-1)  # each key once
        values = torch.randint(CHOICES, (batch, CHOICES), generator=generator)
        asked = torch.randint(CHOICES, (batch, 1), generator=generator)
        memories += [F.one_hot(keys, CHOICES), F.one_hot(values, CHOICES)]
        queries += [F.one_hot(asked, CHOICES), torch.zeros(batch, 1, CHOICES)]
        targets.append(values[keys == asked])
    order = LAYOUTS[layout]
    query = torch.cat([queries[i] for i in order], dim=-1)
    memory = torch.cat([memories[i] for i in order], dim=-1)
    # 2 times (N,) -> (N, 2)
    return query.float(), memory.float(), torch.stack(targets, dim=-1)


class RetrievalModel(nn.Module):
    """One attention module on the bare features, and a readout; no embedding may mix them first.

    Shapes: query `(N, 1, 16)`, memory `(N, 4, 16)` -> logits `(N, 2, 4)`.
    """

    def __init__(self, attention: nn.Module, hidden: int) -> None:
        super().__init__()
        self.attention = attention
        self.readout = nn.Sequential(
            nn.Linear(FEATURES, hidden), nn.ReLU(), nn.Linear(hidden, 2 * CHOICES)
        )

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        # (N, 1, 16) -> (N, 1, 8) -> (N, 2, 4)
        logits: Tensor = self.readout(self.attention(query, memory))
        return logits.view(-1, 2, CHOICES)


def model_of_size(attention: nn.Module, budget: int) -> RetrievalModel:
    """Give what a module leaves of a budget of parameters to the readout.

    Raises: ValueError if the module alone is larger than the budget.
    """
    used = sum(p.numel() for p in attention.parameters())
    each = FEATURES + 1 + 2 * CHOICES  # what one hidden number costs
    hidden = (budget - used - 2 * CHOICES) // each
    if hidden < 1:
        raise ValueError(f"wanted a budget above {used + 2 * CHOICES + each}, got {budget}")
    return RetrievalModel(attention, hidden)


@one_thread()
def train_retrieval(
    attention: Callable[[], nn.Module],
    layout: str,
    *,
    budget: int = 2800,
    steps: int = 600,
    seed: int = 0,
) -> RetrievalModel:
    """Train a fresh model on fresh batches; the same seed gives the same start and batches."""
    torch.manual_seed(seed)
    model = model_of_size(attention(), budget)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        query, memory, targets = retrieval_batch(64, layout, generator)
        loss = F.cross_entropy(model(query, memory).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@one_thread()
@torch.no_grad()
def retrieval_accuracy(model: RetrievalModel, layout: str, seed: int = 1_000_000) -> float:
    """Return the share of values, 0 to 1, that a model names right on 2,000 fresh queries."""
    query, memory, targets = retrieval_batch(2000, layout, torch.Generator().manual_seed(seed))
    return float((model(query, memory).argmax(-1) == targets).float().mean())


def accuracy_without_matching() -> float:
    """Return the share of who sees all values but not whose they are, and names the commonest.

    Counted over all 256 ways to draw four values.
    """
    draws = torch.cartesian_prod(*[torch.arange(CHOICES)] * CHOICES)  # (256, 4)
    commonest = F.one_hot(draws, CHOICES).sum(1).amax(-1)
    return float(commonest.float().mean()) / CHOICES
