"""A small task that only attention can solve: say which letter stood a few positions back."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.threads import one_thread

LETTERS = "abcdefgh"


def copy_back_batch(
    batch: int, length: int, offsets: tuple[int, ...], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw letters, and for each position the letters that stood `offsets` positions back.

    A position with nothing that far back answers with its own letter: that needs no attention.

    Shapes: letters `(N, L)` and targets `(N, L, K)` for K offsets, both of letter numbers 0 to 7.

    Raises: ValueError if an offset is not between 1 and `length` - 1.
    """
    if not offsets or not all(1 <= offset < length for offset in offsets):
        raise ValueError(f"wanted offsets between 1 and {length - 1}, got {offsets}")
    letters = torch.randint(len(LETTERS), (batch, length), generator=generator)
    targets = []
    for offset in offsets:
        back = letters.roll(offset, dims=1)
        back[:, :offset] = letters[:, :offset]
        targets.append(back)
    return letters, torch.stack(targets, dim=-1)  # K times (N, L) -> (N, L, K)


class CopyBackModel(nn.Module):
    """Letter and position embeddings, one attention module, a readout: nothing else looks back.

    The readout is one linear layer, or, with `hidden`, two with so many numbers between them.

    Shapes: letters `(N, L)` -> logits `(N, L, K, 8)` for K offsets.
    """

    def __init__(
        self,
        attention: nn.Module,
        embed_dim: int,
        length: int,
        offsets: int,
        *,
        residual: bool,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        self.letter = nn.Embedding(len(LETTERS), embed_dim)
        self.position = nn.Embedding(length, embed_dim)
        self.attention = attention
        self.residual = residual
        sizes = (embed_dim, hidden or offsets * len(LETTERS))
        self.readout: nn.Module = nn.Linear(*sizes)
        if hidden:
            last = nn.Linear(hidden, offsets * len(LETTERS))
            self.readout = nn.Sequential(self.readout, nn.ReLU(), last)

    def forward(self, letters: Tensor) -> Tensor:
        x = self.letter(letters) + self.position.weight  # (N, L) -> (N, L, E)
        attended = self.attention(x, is_causal=True)
        logits: Tensor = self.readout(x + attended if self.residual else attended)
        # (N, L, K * 8) -> (N, L, K, 8)
        return logits.view(*letters.shape, -1, len(LETTERS))


@one_thread()
def train_copy_back(
    attention: Callable[[], nn.Module],
    embed_dim: int,
    *,
    offsets: tuple[int, ...] = (3,),
    length: int = 9,
    residual: bool = True,
    hidden: int = 0,
    steps: int = 250,
    seed: int = 0,
) -> tuple[CopyBackModel, list[float]]:
    """Train a fresh model on fresh batches, and return it with the loss of every step.

    The first thing after seeding is the call of `attention`: the same seed gives the same start.
    """
    torch.manual_seed(seed)
    model = CopyBackModel(
        attention(), embed_dim, length, len(offsets), residual=residual, hidden=hidden
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        letters, targets = copy_back_batch(32, length, offsets, generator)
        loss = F.cross_entropy(model(letters).flatten(0, 2), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


@one_thread()
@torch.no_grad()
def copy_back_accuracy(model: CopyBackModel, offsets: tuple[int, ...], seed: int = 1) -> float:
    """Return the share of letters, 0 to 1, that a model gets right where it must look back."""
    generator = torch.Generator().manual_seed(seed)
    length = model.position.num_embeddings
    letters, targets = copy_back_batch(256, length, offsets, generator)
    right = model(letters).argmax(-1) == targets
    return float(right[:, max(offsets) :].float().mean())
