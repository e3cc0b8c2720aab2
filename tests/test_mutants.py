"""The known mistakes, each put into our own source, and the property that notices it.

Those that replace a step of attention come from their classes in MISTAKES, all of them. What only
a source shows (how layers are kept, what dtype a number has) is written below as a replacement.
"""

import inspect
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from torch import Tensor

import cleanformer_lite
from cleanformer_lite.checks import MISTAKES
from cleanformer_lite.checks.engine.attention import Attention, replaced_steps
from cleanformer_lite.checks.engine.layouts import Projections
from tests import properties
from tests.properties import Package

FILES = ("inputs", "single_head", "looped_heads", "split_heads")  # in the order of their imports
SERIAL = itertools.count()


@dataclass
class Mutant:
    """One mistake: the file it lives in, what is replaced by what, and what notices it."""

    mistake: str
    file: str
    caught_by: Callable[[Package], None]
    changes: dict[str, str]
    error: type[Exception] = AssertionError
    runs: bool = True

    def package(self) -> Package:
        """Execute the package's sources anew, this mutant's file changed."""
        return executed(self.changed, {})

    def changed(self, file: str, source: str) -> str:
        """Return a file's source as this mutant has it."""
        for old, new in self.changes.items() if file == self.file else ():
            assert source.count(old) == 1, f"{old!r} stands there {source.count(old)} times"
            source = source.replace(old, new)
        return source


def executed(
    change: Callable[[str, str], str], instead: dict[str, dict[str, Callable[..., Any]]]
) -> Package:
    """Execute the package's sources anew, changed, and with functions of a file put in."""
    name = f"mutant_{next(SERIAL)}"
    built: dict[str, object] = {}
    with patch.dict(sys.modules, {name: ModuleType(name)}):
        for file in FILES:
            source = change(file, inspect.getsource(import_module(f"cleanformer_lite.{file}")))
            module = ModuleType(f"{name}.{file}")
            sys.modules[module.__name__] = module
            exec(source.replace("from cleanformer_lite.", f"from {name}."), vars(module))
            vars(module).update(instead.get(file, {}))
            built |= vars(module)
    return SimpleNamespace(**built)


NO_NAN = "scores.masked_fill(blocked, torch.finfo(scores.dtype).min)"
ZERO_BLOCKED = "torch.softmax(scores, dim=-1).masked_fill(blocked, 0.0)"
SCALED = "(query / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1)"
OWN_HEADS = (
    "nn.ModuleList(\n"
    "            SingleHeadAttention(embed_dim, head_dim=head_dim, dropout=dropout, bias=bias)\n"
    "            for _ in range(num_heads)\n"
    "        )"
)
NEW_HEAD = "SingleHeadAttention(embed_dim, head_dim=head_dim, dropout=dropout, bias=bias)"
VIEW = "x.view(batch, length, num_heads, head_dim).transpose(1, 2)"
MERGE = "x.transpose(1, 2).reshape(batch, length, num_heads * head_dim)"

MUTANTS = [
    Mutant(
        "built_in_forward",
        "looped_heads",
        properties.two_calls_agree,
        {
            OWN_HEADS: f"lambda: [{NEW_HEAD}.double() for _ in range(num_heads)]",
            "self.heads, query": "self.heads(), query",
        },
    ),
    Mutant(
        "plain_list",
        "looped_heads",
        properties.one_step_changes_every_weight,
        {OWN_HEADS: f"[{NEW_HEAD}.double() for _ in range(num_heads)]"},
    ),
    Mutant(
        "shared_layer",
        "looped_heads",
        properties.heads_differ,
        {OWN_HEADS: f"nn.ModuleList([{NEW_HEAD}] * num_heads)"},
    ),
    Mutant(
        "split_without_transpose",
        "split_heads",
        properties.order_of_tokens_does_not_matter,
        {VIEW: "x.view(batch, num_heads, length, head_dim)"},
    ),
    Mutant(
        "split_without_transpose",
        "split_heads",
        properties.the_future_stays_unread,
        {VIEW: "x.view(batch, num_heads, length, head_dim)"},
    ),
    Mutant(
        "merge_without_transpose",
        "split_heads",
        properties.order_of_tokens_does_not_matter,
        {MERGE: "x.reshape(batch, length, num_heads * head_dim)"},
    ),
    Mutant(
        "merge_mixes_batch",
        "split_heads",
        properties.a_row_alone_is_the_row_in_a_batch,
        {MERGE: "x.transpose(0, 1).reshape(x.shape)." + MERGE[2:]},
    ),
    Mutant(
        "split_before_projection",
        "split_heads",
        properties.every_head_reads_every_feature,
        {
            "self.q_proj = nn.Linear(embed_dim, embed_dim, bias=bias)": (
                "self.q_proj = nn.Linear(embed_dim // num_heads, embed_dim // num_heads)"
            ),
            "self.k_proj = nn.Linear(embed_dim, embed_dim, bias=bias)": (
                "self.k_proj = nn.Linear(embed_dim // num_heads, embed_dim // num_heads)"
            ),
            "split_heads(self.q_proj(query), self.num_heads)": (
                "self.q_proj(split_heads(query, self.num_heads))"
            ),
            "split_heads(self.k_proj(key), self.num_heads)": (
                "self.k_proj(split_heads(key, self.num_heads))"
            ),
        },
    ),
    Mutant(
        "softmax_over_queries",
        "single_head",
        properties.weights_of_a_query_sum_to_one,
        {
            "weights = torch.softmax(scores, dim=-1)\n": (
                "weights = torch.softmax(scores, dim=-2)\n"
            ),
            ZERO_BLOCKED: ZERO_BLOCKED.replace("-1", "-2"),
        },
    ),
    Mutant(
        "scaled_by_embed_dim",
        "single_head",
        properties.scores_have_variance_one,
        {SCALED: SCALED.replace("query.shape[-1]", "query.shape[1] * query.shape[-1]")},
    ),
    Mutant(
        "scale_inverted",
        "single_head",
        properties.scores_have_variance_one,
        {SCALED: SCALED.replace("/", "*")},
    ),
    Mutant(
        "mask_after_softmax",
        "single_head",
        properties.weights_of_a_query_sum_to_one,
        {NO_NAN: "scores"},
    ),
    Mutant(
        "mask_after_softmax",
        "single_head",
        properties.padding_changes_nothing,
        {NO_NAN: "scores"},
    ),
    Mutant(
        "mask_multiplied",
        "single_head",
        properties.padding_changes_nothing,
        {NO_NAN: "scores * ~blocked", ZERO_BLOCKED: "torch.softmax(scores, dim=-1)"},
    ),
    Mutant(
        "mask_inverted",
        "single_head",
        properties.truth_table_on_two_tokens,
        {"~attn_mask": "attn_mask"},
    ),
    Mutant(
        "mask_on_queries",
        "single_head",
        properties.padding_of_the_queries_own_sequence_changes_nothing,
        {"~attn_mask": "~attn_mask.transpose(-2, -1)"},
    ),
    Mutant(
        "mask_repeat_order",
        "looped_heads",
        properties.a_row_alone_is_the_row_in_a_batch,
        {
            "attn_mask.expand(shape), 1": (
                "attn_mask.expand(shape).transpose(0, 1).reshape(shape), 1"
            )
        },
    ),
    Mutant(
        "nan_rows",
        "single_head",
        properties.a_query_that_reads_nothing_is_harmless,
        {
            NO_NAN: "scores.masked_fill(blocked, -torch.inf)",
            ZERO_BLOCKED: "torch.softmax(scores, dim=-1)",
        },
    ),
    Mutant(
        "nan_rows",
        "single_head",
        properties.a_query_that_reads_nothing_is_harmless,
        {NO_NAN: "scores.masked_fill(blocked, -torch.inf)"},
        error=RuntimeError,
    ),
    Mutant(
        "mean_rows",
        "single_head",
        properties.a_query_that_reads_nothing_is_harmless,
        {ZERO_BLOCKED: "torch.softmax(scores, dim=-1)"},
    ),
    Mutant(
        "dropout_in_eval",
        "single_head",
        properties.two_calls_agree,
        {"self.dropout if self.training else 0.0": "self.dropout"},
    ),
    Mutant(
        "batch_first_forgotten",
        "split_heads",
        properties.rows_of_a_batch_do_not_touch,
        {
            "batch, length, embed_dim = x.shape": (
                "x = x.transpose(0, 1)\n    batch, length, embed_dim = x.shape"
            ),
            "x.view(": "x.reshape(",
            MERGE: f"{MERGE}.transpose(0, 1)",
        },
    ),
    Mutant(
        "value_uses_key",
        "split_heads",
        properties.every_parameter_gets_a_gradient,
        {"self.v_proj(value)": "self.k_proj(value)"},
    ),
    Mutant(
        "value_uses_key",
        "single_head",
        properties.every_parameter_gets_a_gradient,
        {"self.v_proj(value)": "self.k_proj(value)"},
    ),
    Mutant(
        "no_output_projection",
        "split_heads",
        properties.output_mixes_heads,
        {"self.out_proj(merge_heads(output))": "merge_heads(output)"},
    ),
    Mutant(
        "no_output_projection",
        "looped_heads",
        properties.has_all_parameters,
        {
            "self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias)\n": "",
            "self.out_proj(concatenated)": "concatenated",
        },
    ),
    Mutant(
        "einsum_axes_swapped",
        "single_head",
        properties.key_length_may_differ,
        {"weights @ value": "weights.transpose(-2, -1) @ value"},
        error=RuntimeError,
    ),
    Mutant(
        "einsum_axes_swapped",
        "single_head",
        properties.output_is_weights_times_values,
        {"weights @ value": "weights.transpose(-2, -1) @ value"},
    ),
    Mutant(
        "causal_mask_shifted",
        "single_head",
        properties.the_future_stays_unread,
        {".triu(1)": ".triu(2)"},
    ),
    Mutant(
        "causal_mask_shifted",
        "single_head",
        properties.the_past_and_the_present_are_read,
        {".triu(1)": ".triu(0)"},
    ),
    Mutant(
        "causal_mask_shifted",
        "single_head",
        properties.the_future_stays_unread,
        {".triu(1)": ".tril(-1)"},
    ),
    Mutant(
        "causal_mask_shifted",
        "single_head",
        properties.the_future_stays_unread,
        {"blocked | future": "blocked", "future if blocked is None else": "None if True else"},
    ),
    Mutant(
        "half_overflow",
        "single_head",
        properties.half_precision_is_finite,
        {"torch.finfo(scores.dtype).min": "-1e9"},
        error=RuntimeError,
    ),
    Mutant(
        "half_overflow",
        "single_head",
        properties.half_precision_is_finite,
        {SCALED: "query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])"},
    ),
    Mutant(
        "view_not_contiguous",
        "split_heads",
        properties.key_length_may_differ,
        {MERGE: MERGE.replace("reshape", "view")},
        error=RuntimeError,
        runs=False,
    ),
    Mutant(
        "input_changed_in_place",
        "single_head",
        properties.inputs_stay_as_they_were,
        {"(query / math.sqrt(query.shape[-1]))": "query.div_(math.sqrt(query.shape[-1]))"},
    ),
    Mutant(
        "input_changed_in_place",
        "split_heads",
        properties.inputs_stay_as_they_were,
        {"self.q_proj(query)": "self.q_proj(query.clamp_(-0.5, 0.5))"},
    ),
]
ids = [f"{mutant.mistake}-{mutant.caught_by.__name__}-{mutant.file}" for mutant in MUTANTS]


@pytest.mark.parametrize("holds", properties.PROPERTIES, ids=lambda holds: holds.__name__)
def test_ours_has_the_property(holds: Callable[[Package], None]) -> None:
    holds(cleanformer_lite)


@pytest.mark.parametrize("mutant", MUTANTS, ids=ids)
def test_mutant_lacks_the_property(mutant: Mutant) -> None:
    with pytest.raises(mutant.error):
        mutant.caught_by(mutant.package())


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.runs], ids=lambda m: m.mistake)
def test_mutant_runs_and_looks_right(mutant: Mutant) -> None:
    """The shape of the output alone tells nothing."""
    x = properties.random(properties.N, properties.L, properties.E)
    for module in properties.modules(mutant.package()):
        assert module(x).shape == x.shape


def test_sources_run_anew_are_right_when_nothing_is_changed() -> None:
    """What the mutants fail by is the change, not the way they are made."""
    package = Mutant("none", "inputs", properties.two_calls_agree, {}).package()
    assert package.SplitMultiHeadAttention is not cleanformer_lite.SplitMultiHeadAttention
    for holds in properties.PROPERTIES:
        holds(package)


def test_every_mutant_is_a_known_mistake() -> None:
    assert {mutant.mistake for mutant in MUTANTS} <= set(MISTAKES)


# A step of these is a function of ours; projections and dropout are not.
OUR_STEPS = {
    *("scale", "scores", "softmax", "weigh", "causal", "allowed", "fill", "mix", "split", "merge")
}
FROM_STEPS = {
    f"{name}-{kind.__name__}": kind
    for name, known in MISTAKES.items()
    for kind in known.classes
    if replaced_steps(kind) and replaced_steps(kind) <= OUR_STEPS
}
# The judge's steps are written for float32, and for inputs of which every number is drawn.
OF_STEPS = [
    holds
    for holds in properties.PROPERTIES
    if holds not in (properties.half_precision_is_finite, properties.inputs_stay_as_they_were)
]
# No property alone sees these: what holds our heads is that they equal torch's in every call.
SEEN_BESIDE_TORCH = {
    *("heads_summed-HeadsSummed", "heads_summed-HeadsAveraged"),
    *("heads_interleaved-HeadsInterleaved", "heads_interleaved-MergeInterleaved"),
    *("mask_ignored-MaskDroppedByCausal", "causal_mask_shifted-CausalMaskDroppedByMask"),
    *("mask_of_the_first-MaskOfTheFirstHead", "masks_joined_by_or-MasksJoinedByOr"),
}


def package_of(kind: type[Attention]) -> Package:
    """Execute the package's sources anew, with the steps of a mistake for its functions."""

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        dropout: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        if query.dim() == 3:  # one head: steps are written for (N, H, L, D)
            mask = (
                attn_mask[:, None] if attn_mask is not None and attn_mask.dim() == 3 else attn_mask
            )
            output, weights = attend(
                query[:, None], key[:, None], value[:, None], mask, is_causal, dropout
            )
            return output[:, 0], weights[:, 0]
        embed_dim = query.shape[1] * query.shape[-1]
        matrix, bias = query.new_zeros(embed_dim, embed_dim), query.new_zeros(embed_dim)
        projections = Projections(
            matrix, matrix, matrix, matrix, bias, bias, bias, bias
        )  # read for their sizes alone
        steps = kind(projections, query.shape[1], dropout)
        steps.training = True
        weights = steps.share(steps.scores(query, key), attn_mask, is_causal)
        return steps.mix(steps.drop(weights), value), weights

    def split_heads(x: Tensor, num_heads: int) -> Tensor:
        return kind(None, num_heads).split(x)  # type: ignore[arg-type]

    def merge_heads(x: Tensor) -> Tensor:
        return kind(None, x.shape[1]).merge(x)  # type: ignore[arg-type]

    return executed(
        lambda file, source: source,
        {
            "single_head": {"attend": attend},
            "split_heads": {"split_heads": split_heads, "merge_heads": merge_heads},
        },
    )


def notices(holds: Callable[[Package], None], package: Package) -> bool:
    """Say whether a property does not hold for a package."""
    try:
        holds(package)
    except (AssertionError, RuntimeError, IndexError):
        return True
    return False


def test_the_judges_own_steps_are_right_in_our_heads() -> None:
    package = package_of(Attention)
    assert [holds.__name__ for holds in OF_STEPS if notices(holds, package)] == []


@pytest.mark.parametrize("name", FROM_STEPS)
def test_a_mistake_of_the_registry_is_noticed_in_our_heads(name: str) -> None:
    package = package_of(FROM_STEPS[name])
    assert any(notices(holds, package) for holds in OF_STEPS) != (name in SEEN_BESIDE_TORCH)


def test_every_property_is_needed() -> None:
    assert {mutant.caught_by for mutant in MUTANTS} == set(properties.PROPERTIES)
