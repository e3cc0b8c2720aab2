"""A whole Transformer, encoder and decoder, around whichever multi-head attention it is given."""

import math
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from cleanformer_lite.positions import positions
from cleanformer_lite.split_heads import SplitMultiHeadAttention

MakeAttention = Callable[[int, int], nn.Module]


class EncoderBlock(nn.Module):
    """Read the other positions, then work on each alone; both add to what was there.

    Shapes: x `(N, S, E)`, attn_mask broadcastable to `(N, H, S, S)` -> `(N, S, E)`.

    Source: Vaswani et al. (2017), section 3.1, with the norms moved to the front of each part.
    """

    def __init__(
        self, attention: MakeAttention, embed_dim: int, num_heads: int, hidden: int
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(embed_dim)
        self.attention = attention(embed_dim, num_heads)
        self.feed_forward_norm = nn.LayerNorm(embed_dim)
        self.feed_forward = feed_forward(embed_dim, hidden)

    def forward(self, x: Tensor, attn_mask: Tensor | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), attn_mask=attn_mask)
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x


class DecoderBlock(nn.Module):
    """Read the own past, then the source, then work on each position alone.

    Shapes: x `(N, L, E)`, memory `(N, S, E)`, memory_mask broadcastable to `(N, H, L, S)` ->
        `(N, L, E)`.

    Source: Vaswani et al. (2017), section 3.1, with the norms moved to the front of each part.
    """

    def __init__(
        self, attention: MakeAttention, embed_dim: int, num_heads: int, hidden: int
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(embed_dim)
        self.attention = attention(embed_dim, num_heads)
        self.cross_norm = nn.LayerNorm(embed_dim)
        self.cross_attention = attention(embed_dim, num_heads)
        self.feed_forward_norm = nn.LayerNorm(embed_dim)
        self.feed_forward = feed_forward(embed_dim, hidden)

    def forward(self, x: Tensor, memory: Tensor, memory_mask: Tensor | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), is_causal=True)
        x = x + self.cross_attention(self.cross_norm(x), memory, attn_mask=memory_mask)
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x


class Transformer(nn.Module):
    """Encoder, decoder, and one embedding that serves source, target and output.

    Shapes: source `(N, S)` and target `(N, L)` of piece numbers -> logits `(N, L, V)` for V pieces:
        at each position, for the piece that comes next.

    Raises: ValueError for fewer than one layer, or as the attention modules do.

    Source: Vaswani et al. (2017), section 3; tied embeddings, section 3.4; norms first as in Xiong
        et al. (2020).
    """

    def __init__(
        self,
        pieces: int,
        *,
        embed_dim: int = 64,
        num_heads: int = 4,
        layers: int = 2,
        hidden: int = 128,
        padding: int = 0,
        attention: MakeAttention = SplitMultiHeadAttention,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"wanted one layer at least, got {layers}")
        self.padding = padding
        self.embedding = nn.Embedding(pieces, embed_dim)
        # The same matrix reads out: with this spread, logits start near a variance of 1.
        nn.init.normal_(self.embedding.weight, std=embed_dim**-0.5)
        sizes = (embed_dim, num_heads, hidden)
        self.encoder = nn.ModuleList(EncoderBlock(attention, *sizes) for _ in range(layers))
        self.encoder_norm = nn.LayerNorm(embed_dim)
        self.decoder = nn.ModuleList(DecoderBlock(attention, *sizes) for _ in range(layers))
        self.decoder_norm = nn.LayerNorm(embed_dim)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.decode(target, *self.encode(source))

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Read the source.

        Shapes: source `(N, S)` -> memory `(N, S, E)` and its mask `(N, 1, 1, S)`, False at padding.
        """
        mask = (source != self.padding)[:, None, None, :]
        x = self.embed(source)
        for block in self.encoder:
            x = block(x, mask)
        return self.encoder_norm(x), mask

    def decode(self, target: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        """Say at each position of the target which piece comes next.

        Shapes: target `(N, L)`, memory `(N, S, E)`, memory_mask `(N, 1, 1, S)` -> `(N, L, V)`.
        """
        # Padding in the target needs no mask: it stands at the end, and nobody reads the future.
        x = self.embed(target)
        for block in self.decoder:
            x = block(x, memory, memory_mask)
        return F.linear(self.decoder_norm(x), self.embedding.weight)

    def embed(self, pieces: Tensor) -> Tensor:
        """Add what a piece is and where it stands.

        Shapes: `(N, L)` -> `(N, L, E)`.
        """
        size = self.embedding.embedding_dim
        where = positions(pieces.shape[1], size).to(self.embedding.weight)
        x: Tensor = self.embedding(pieces) * math.sqrt(size)
        return x + where


def feed_forward(embed_dim: int, hidden: int) -> nn.Sequential:
    """Build the two layers that work on one position alone."""
    return nn.Sequential(nn.Linear(embed_dim, hidden), nn.ReLU(), nn.Linear(hidden, embed_dim))
