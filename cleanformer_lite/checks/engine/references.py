"""Right answers that judge others, written with loops over numbers: slow, but easy to follow."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Block = tuple[Tensor, Tensor, Tensor]


def mask(lines: list[list[int]]) -> Tensor:
    """Make a mask of lines of 0 and 1."""
    return torch.tensor(lines, dtype=torch.bool)


def counted(*shape: int) -> Tensor:
    """Return a tensor that numbers its elements from 1, so that each can be followed by eye."""
    return torch.arange(1.0, torch.Size(shape).numel() + 1).view(shape)


def scores(query: Tensor, key: Tensor) -> Tensor:
    """Take every product by itself."""
    products = torch.sum(query.unsqueeze(-2) * key.unsqueeze(-3), dim=-1)
    return products / math.sqrt(query.shape[-1])


def masked_softmax(scores: Tensor, attn_mask: Tensor) -> Tensor:
    """Divide exponentials of allowed scores by their sum; a sum of nothing counts as one."""
    allowed = torch.where(attn_mask, scores.float(), torch.finfo(torch.float32).min)
    shifted = scores.float() - allowed.amax(dim=-1, keepdim=True)
    shares = torch.where(attn_mask, torch.exp(shifted.clamp_max(0.0)), 0.0)
    total = shares.sum(dim=-1, keepdim=True)
    return (shares / torch.where(total == 0, torch.ones_like(total), total)).to(scores.dtype)


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute scores, weights and output, one after the other."""
    fit = scores(query, key)
    everything = torch.ones(fit.shape[-2:], dtype=torch.bool)
    weights = masked_softmax(fit, everything if attn_mask is None else attn_mask)
    return torch.sum(weights.unsqueeze(-1) * value.unsqueeze(-3), dim=-2), weights


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Split head by head: slice the features, stack the slices."""
    head_dim = x.shape[-1] // num_heads
    return torch.stack(
        [x[:, :, head * head_dim : (head + 1) * head_dim] for head in range(num_heads)], dim=1
    )


def merge_heads(x: Tensor) -> Tensor:
    """Merge head by head: lay the slices side by side."""
    return torch.cat([x[:, head] for head in range(x.shape[1])], dim=-1)


def join_heads(outputs: list[Tensor]) -> Tensor:
    """Write each head's numbers into its own columns."""
    width = outputs[0].shape[-1]
    result = outputs[0].new_zeros(*outputs[0].shape[:-1], width * len(outputs))
    for head, output in enumerate(outputs):
        result[..., head * width : (head + 1) * width] = output
    return result


def run_heads(
    x: Tensor, query_weights: Tensor, key_weights: Tensor, value_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Run the heads one by one."""
    results = [
        attention(x @ query.t(), x @ key.t(), x @ value.t())
        for query, key, value in zip(query_weights, key_weights, value_weights, strict=True)
    ]
    outputs, maps = zip(*results, strict=True)
    return join_heads(list(outputs)), torch.stack(maps, dim=1)


def count_parameters(embed_dim: int, num_heads: int) -> dict[str, int]:
    """Count what each of the three modules of the chapter registers, layer by layer."""
    out = embed_dim * embed_dim + embed_dim
    head_dim = embed_dim // num_heads
    heads = sum(3 * (embed_dim * head_dim + head_dim) for _ in range(num_heads))
    return {"built_in_forward": out, "plain_list": out, "module_list": heads + out}


def hidden_layers(module: nn.Module) -> list[str]:
    """List the attributes that are lists holding modules."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, list) and any(isinstance(item, nn.Module) for item in value)
    ]


def features_read(
    maps_of: Callable[[Tensor], Tensor], x: Tensor, change: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """Change one feature after the other, and list the features that change each head's map."""
    before = maps_of(x)
    columns = [
        (maps_of(change(x, feature)) - before).abs().amax(dim=(0, 2, 3)) > 1e-5
        for feature in range(x.shape[-1])
    ]
    return torch.stack(columns, dim=1)


def change_one_token(x: Tensor, feature: int) -> Tensor:
    """Change a feature of the last token alone."""
    copy = x.clone()
    copy[:, -1, feature] += 1.0
    return copy


def block_diagonal(weights: Tensor) -> Tensor:
    """Write one number after the other."""
    heads, width, _ = weights.shape
    lines = []
    for head in range(heads):
        before, after = (weights.new_zeros(n * width) for n in (head, heads - head - 1))
        lines += [torch.cat([before, line, after]) for line in weights[head]]
    return torch.stack(lines)


def split_projection(projected: Tensor, num_heads: int) -> tuple[Tensor, ...]:
    """Slice head after head out of each third."""
    embed_dim = projected.shape[-1] // 3
    width = embed_dim // num_heads
    starts = [[part * embed_dim + head * width for head in range(num_heads)] for part in range(3)]
    return tuple(
        torch.stack([projected[..., first : first + width] for first in firsts], dim=1)
        for firsts in starts
    )


def merge_blocks(
    top: Tensor, total: Tensor, mean: Tensor, new_top: Tensor, new_total: Tensor, new_mean: Tensor
) -> Block:
    """Put each query's numbers together in double precision, leaving an empty side out."""
    tops, totals, means = [], [], []
    for query in range(len(top)):
        sides = [
            (float(t[query]), float(s[query]), m[query].double())
            for t, s, m in ((top, total, mean), (new_top, new_total, new_mean))
            if float(t[query]) > -math.inf
        ]
        largest = max((side[0] for side in sides), default=-math.inf)
        tops.append(largest)
        totals.append(sum(s * math.exp(t - largest) for t, s, _ in sides))
        nothing = torch.zeros_like(mean[query], dtype=torch.float64)
        means.append(sum((m * math.exp(t - largest) for t, _, m in sides), start=nothing))
    columns = [torch.tensor(numbers)[:, None].to(top.dtype) for numbers in (tops, totals)]
    return columns[0], columns[1], torch.stack(means).to(mean.dtype)


def fused_forward(
    x: Tensor,
    in_weight: Tensor,
    out_weight: Tensor,
    num_heads: int,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    dropout: float = 0.0,
    training: bool = False,
) -> Tensor:
    """Attend with sums, head by head."""
    query, key, value = split_projection(x @ in_weight.t(), num_heads)
    allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
    allowed = allowed.tril() if is_causal else allowed
    allowed = allowed if attn_mask is None else allowed & attn_mask
    _, weights = attention(query, key, value, allowed)
    output = F.dropout(weights, dropout, training) @ value
    return torch.cat(output.unbind(1), dim=-1) @ out_weight.t()


def padding_mask(tokens: Tensor, padding: int) -> Tensor:
    """Compare one token after the other with the padding."""
    lines = [[token != padding for token in line] for line in tokens.tolist()]
    return torch.tensor(lines)[:, None, None, :]


def decoder_mask(tokens: Tensor, padding: int) -> Tensor:
    """Ask for every pair whether the key comes later, and whether it is padding."""
    length = range(tokens.shape[1])
    lines = [
        [[key <= query and line[key] != padding for key in length] for query in length]
        for line in tokens.tolist()
    ]
    return torch.tensor(lines)[:, None]


def mark_positions(positions: Tensor, embed_dim: int) -> Tensor:
    """Compute one number after the other."""
    lines = []
    for position in positions.tolist():
        line = []
        for pair in range(embed_dim // 2):
            angle = position / 10_000 ** (2 * pair / embed_dim)
            line += [math.sin(angle), math.cos(angle)]
        lines.append(line)
    return torch.tensor(lines)


def next_piece_loss(predict: Any, target: Tensor, padding: int) -> Tensor:
    """Add up one position after the other; `predict.table` holds the logits after each piece."""
    costs = []
    for line in target.tolist():
        for given, wanted in itertools.pairwise(line):
            if wanted != padding:
                powers = [torch.exp(number) for number in predict.table[given]]
                costs.append(torch.log(torch.stack(powers).sum()) - predict.table[given][wanted])
    return torch.stack(costs).mean()


def greedy(
    predict: Callable[[Tensor], Tensor],
    batch_size: int,
    start: int,
    end: int,
    padding: int,
    longest: int,
) -> Tensor:
    """Write sentence by sentence, in lists."""
    lists = []
    for n in range(batch_size):
        written: list[int] = []
        while len(written) < longest and end not in written:
            target = torch.full((batch_size, 1 + len(written)), padding)
            target[n] = torch.tensor([start, *written])
            written.append(int(predict(target)[n, -1].argmax()))
        lists.append(written)
    length = max(map(len, lists))
    return torch.tensor([written + [padding] * (length - len(written)) for written in lists])


class WithWeights(nn.Module):
    """Any of the package's modules, returning its weights."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Any:
        return self.attention(x, need_weights=True)


def with_weights(kind: Callable[..., nn.Module], **options: Any) -> Callable[..., nn.Module]:
    """Turn one of the package's classes, without biases, into an answer that returns weights."""
    return lambda embed_dim, num_heads: WithWeights(
        kind(embed_dim, num_heads, bias=False, **options)
    )


def join_masks(length: int, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
    """Say which keys each query may attend to, where a mask and the causal flag act together.

    Shapes: attn_mask broadcastable to `(N, H, L, L)` -> the same, or `(L, L)` without one.
    """
    allowed = torch.ones(length, length, dtype=torch.bool)
    allowed = allowed.tril() if is_causal else allowed
    return allowed if attn_mask is None else allowed & attn_mask
