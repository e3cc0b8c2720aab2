"""Mistakes in how layers are made, kept and shared out. Wrong on purpose."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cleanformer_lite.checks.engine.equality import heads_share
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.engine.parameters import (
    parameters_before_output,
    parameters_behind_a_map,
    reads_whole_input,
)
from cleanformer_lite.checks.engine.properties import NOTICEABLE
from cleanformer_lite.checks.engine.references import (
    count_parameters,
    run_heads,
    with_weights,
)
from cleanformer_lite.checks.engine.trials import LARGE
from cleanformer_lite.checks.mistake import mistake
from cleanformer_lite.registration_bug import HeadsBuiltInForward, HeadsInPlainList
from cleanformer_lite.single_head import SingleHeadAttention
from cleanformer_lite.sliced_heads import SlicedMultiHeadAttention

Pair = tuple[Tensor, Tensor]
OF_HIDDEN_WEIGHTS = frozenset(
    {
        "parameters_registered",
        "parameter_count",
        "gradients_reach_all",
        "every_weight_moves",
        "heads_are_independent",
        "dropout_off_in_eval",
        "dropout_falls_on_weights",
        "equal_to_torch",
    }
)
OF_NEW_WEIGHTS = OF_HIDDEN_WEIGHTS | {
    "calls_agree",
    "projections_are_linear",
    "batch_independence",
    "permutation_equivariance",
    "causality",
    "padding_invariance",
}
OF_ANOTHER_COUNT = frozenset(
    {
        *("parameter_count", "heads_are_independent", "every_weight_moves", "equal_to_torch"),
        "dropout_falls_on_weights",
    }
)


def _count_with(*believed: str) -> Callable[[int, int], dict[str, int]]:
    """Count with the belief that the layers of some modules are registered."""

    def count_wrongly(embed_dim: int, num_heads: int) -> dict[str, int]:
        right = count_parameters(embed_dim, num_heads)
        return {
            name: right["module_list"] if name in believed else number
            for name, number in right.items()
        }

    return count_wrongly


def _sliced_in_a_list(embed_dim: int, num_heads: int) -> nn.Module:
    """Take the heads of a sliced module out of its `nn.ModuleList`, and keep them in a list."""
    module = with_weights(SlicedMultiHeadAttention)(embed_dim, num_heads)
    sliced: Any = module.attention
    heads = list(sliced.heads)
    del sliced.heads
    sliced.heads = heads
    return module


def _sliced_anew(embed_dim: int, num_heads: int) -> Any:
    """Make the heads of a sliced module anew in every call."""
    module: Any = with_weights(SlicedMultiHeadAttention)(embed_dim, num_heads)
    del module.attention.heads
    module.register_forward_pre_hook(_with_new_heads)
    return module


def _with_new_heads(module: nn.Module, _: Any) -> None:
    sliced: Any = module.attention
    heads = (SingleHeadAttention(sliced.head_dim, bias=False) for _ in range(sliced.num_heads))
    sliced.__dict__["heads"] = list(heads)


def _new_in_every_call(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    is_new = evidence.observed.graph.fresh > 0
    return is_new and (not _is_wide(evidence) or "calls_agree" in failed)


@mistake(
    cause="layers are made inside `forward`, anew in every call",
    symptom="two calls disagree, and what the optimizer changes is never used again",
    thread="graykode/nlp-tutorial#29",
    hints=(
        "Call the module twice with the same input.",
        "Look for a layer that is created in `forward`.",
        "Create it in `__init__`, in an `nn.ModuleList`; `forward` only calls it.",
    ),
    tells=_new_in_every_call,
    explains=OF_NEW_WEIGHTS,
)
class BuiltInForward(HeadsBuiltInForward):
    """The package's own, with the signature of the exercises."""

    forms = {
        "registration_bug.count": (
            _count_with("built_in_forward"),
            _count_with("built_in_forward", "plain_list"),
        ),
        "sliced_heads.module": (_sliced_anew,),
    }

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__(embed_dim, num_heads, dropout=dropout)

    def forward(  # type: ignore[override]
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor | Pair:
        return super().forward(x, attn_mask=attn_mask, is_causal=is_causal, need_weights=True)


def _hidden_from_the_module(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    return evidence.observed.graph.unregistered > 0 and evidence.observed.graph.fresh == 0


@mistake(
    cause="layers are kept in a list, a tuple or a dictionary, where `nn.Module` does not look",
    symptom="they never train, are not saved, and `.to(device)` leaves them behind",
    thread="pytorch/pytorch#666",
    hints=(
        "Count `list(module.parameters())`.",
        "Look at the attribute that holds your heads. Is it an `nn.Module` itself?",
        "`self.heads = nn.ModuleList(...)` instead of `[...]`, `nn.ModuleDict` instead of `{...}`.",
    ),
    tells=_hidden_from_the_module,
    explains=OF_HIDDEN_WEIGHTS,
)
class PlainList(HeadsInPlainList):
    """The package's own, with the signature of the exercises."""

    forms = {
        "registration_bug.count": (_count_with("plain_list"),),
        "sliced_heads.module": (_sliced_in_a_list,),
    }

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__(embed_dim, num_heads, dropout=dropout)

    def forward(  # type: ignore[override]
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor | Pair:
        return super().forward(x, attn_mask=attn_mask, is_causal=is_causal, need_weights=True)


@torch.no_grad()
def _copy_first_head(looped: Any, split: Any) -> None:
    for name in ("q_proj", "k_proj", "v_proj"):
        layer, times = getattr(looped.heads[0], name), len(looped.heads)
        getattr(split, name).weight.copy_(torch.cat([layer.weight] * times))
        getattr(split, name).bias.copy_(torch.cat([layer.bias] * times))
    split.out_proj.load_state_dict(looped.out_proj.state_dict())


def _one_map_for_all(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    if not evidence.contract.weights:
        inputs, biases = 3 * LARGE.head_dim * LARGE.embed_dim, 3 * LARGE.head_dim
        return parameters_before_output(evidence, inputs, biases) and reads_whole_input(evidence)
    if set(failed) <= {"parameter_count", "equal_to_torch"} and _some_parts_of_one_head(evidence):
        return not heads_share(evidence, "key")
    weights = evidence.weights("large", "unmasked")
    alike = (weights - weights[:, :1]).abs().max() <= NOTICEABLE
    wide = _is_wide(evidence) and not _one_of_many(evidence)
    return bool(alike) and evidence.observed.graph.unregistered == 0 and not wide


def _one_of_many(evidence: Evidence) -> bool:
    """Say whether there are weights for every head, and a map comes from those of one."""
    return 0 < parameters_behind_a_map(evidence) <= 2 * LARGE.head_dim * LARGE.embed_dim


def _some_parts_of_one_head(evidence: Evidence) -> bool:
    """Say whether there are the weights of one head for one or two of query, key and value."""
    square, one = LARGE.embed_dim**2, LARGE.embed_dim * LARGE.head_dim
    numbers = evidence.observed.registered.numbers - square
    return any(
        0 <= numbers - ((3 - shared) * square + shared * one) <= 4 * LARGE.embed_dim
        for shared in (1, 2)
    )


def _is_wide(evidence: Evidence) -> bool:
    """Say whether there are as many weights as H heads have."""
    return evidence.observed.registered.numbers >= 4 * LARGE.embed_dim**2


def _one_wide_map(evidence: Evidence, failed: tuple[str, ...]) -> bool:
    if not evidence.contract.weights or not _is_wide(evidence):
        return False
    if parameters_behind_a_map(evidence) <= 2 * LARGE.head_dim * LARGE.embed_dim:
        return False
    weights = evidence.weights("large", "unmasked")
    return bool((weights - weights[:, :1]).abs().max() <= NOTICEABLE)


@mistake(
    cause="there is one head as wide as E, and its map is returned for every head",
    symptom="all maps are one; there are as many weights as H heads have",
    hints=(
        "Print the maps of two heads.",
        "Where does a token's E numbers get cut into heads?",
        "`x.view(N, L, num_heads, head_dim).transpose(1, 2)` before the scores, not after.",
    ),
    tells=_one_wide_map,
    explains=OF_ANOTHER_COUNT | {"heads_differ", "score_scale", "masked_keys_get_nothing"},
)
class OneWideHead(nn.Module):
    """Attends once, and repeats the map."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head = SingleHeadAttention(embed_dim, head_dim=embed_dim, dropout=dropout)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        shape = (len(x), self.num_heads, x.shape[1], x.shape[1])
        mask = None if attn_mask is None else attn_mask.expand(shape)[:, :1]
        output, weights = self.head(x, attn_mask=mask, is_causal=is_causal, need_weights=True)
        return self.out_proj(output), weights.expand(shape)


@mistake(
    cause="`[layer] * n` is one layer n times",
    symptom="all heads have the same weights, and stay the same",
    thread="zalandoresearch/pytorch-vq-vae#2",
    hints=(
        "Print the maps of two heads.",
        "Look at how the list of heads is made. How often is a layer created?",
        "`nn.ModuleList(make_head() for _ in range(num_heads))`.",
    ),
    tells=_one_map_for_all,
    explains=OF_ANOTHER_COUNT | {"heads_differ", "gradients_reach_all"},
)
class SharedLayer(nn.Module):
    """`[head] * num_heads` is one head, several times."""

    forms = {
        "looped_heads.run": (
            lambda x, q, k, v: run_heads(x, *(w[:1].expand_as(w) for w in (q, k, v))),
        ),
        "sliced_heads.block_diagonal": (
            lambda weights: torch.kron(torch.eye(len(weights)), weights[0]),
            lambda weights: torch.block_diag(*[weights[-1]] * len(weights)),
        ),
        "sliced_heads.module": (with_weights(SlicedMultiHeadAttention, shared=True),),
        "split_heads.from_loop": (_copy_first_head,),
    }

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        head = SingleHeadAttention(embed_dim, head_dim=embed_dim // num_heads, dropout=dropout)
        self.heads = nn.ModuleList([head] * num_heads)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Pair:
        length = x.shape[1]
        wide = torch.ones(len(x), len(self.heads), length, length, dtype=torch.bool)
        wide = wide if attn_mask is None else wide & attn_mask
        results = [
            head(x, attn_mask=wide[:, [i]], is_causal=is_causal, need_weights=True)
            for i, head in enumerate(self.heads)
        ]
        outputs, weights = zip(*results, strict=True)
        return self.out_proj(torch.cat(outputs, dim=-1)), torch.cat(weights, dim=1)
