"""Bugs seen in public code, each put into our own source, and the property that notices it.

Species that cannot live in this package, and why:

| species             | why not                                                              |
|---------------------|----------------------------------------------------------------------|
| grouped_heads_tiled | every head has keys and values of its own; none are shared by groups |
| einsum_axes_swapped | no einsum here; its like, a matrix product of wrong axes, stands in   |
"""

import inspect
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import pytest

import cleanformer_lite
from tests import properties
from tests.properties import Package

FILES = ("inputs", "single_head", "looped_heads", "split_heads")  # in the order of their imports
SERIAL = itertools.count()


@dataclass
class Mutant:
    """One species: the file it lives in, what is replaced by what, and what notices it."""

    species: str
    file: str
    caught_by: Callable[[Package], None]
    changes: dict[str, str]
    error: type[Exception] = AssertionError
    runs: bool = True

    def package(self) -> Package:
        """Execute the package's sources anew, this mutant's file changed."""
        name = f"mutant_{next(SERIAL)}"
        built: dict[str, object] = {}
        with patch.dict(sys.modules, {name: ModuleType(name)}):
            for file in FILES:
                source = inspect.getsource(import_module(f"cleanformer_lite.{file}"))
                for old, new in self.changes.items() if file == self.file else ():
                    assert source.count(old) == 1, f"{old!r} stands there {source.count(old)} times"
                    source = source.replace(old, new)
                module = ModuleType(f"{name}.{file}")
                sys.modules[module.__name__] = module
                exec(source.replace("from cleanformer_lite.", f"from {name}."), vars(module))
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
        "nan_rows_in_gradients_only",
        "single_head",
        properties.a_query_that_reads_nothing_is_harmless,
        {NO_NAN: "scores.masked_fill(blocked, -torch.inf)"},
        error=RuntimeError,
    ),
    Mutant(
        "nan_rows_made_uniform",
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
        "causal_mask_too_strict",
        "single_head",
        properties.the_past_and_the_present_are_read,
        {".triu(1)": ".triu(0)"},
    ),
    Mutant(
        "causal_mask_flipped",
        "single_head",
        properties.the_future_stays_unread,
        {".triu(1)": ".tril(-1)"},
    ),
    Mutant(
        "causal_mask_dropped",
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
        "half_overflow_of_scores",
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
ids = [f"{mutant.species}-{mutant.caught_by.__name__}-{mutant.file}" for mutant in MUTANTS]


@pytest.mark.parametrize("holds", properties.PROPERTIES, ids=lambda holds: holds.__name__)
def test_ours_has_the_property(holds: Callable[[Package], None]) -> None:
    holds(cleanformer_lite)


@pytest.mark.parametrize("mutant", MUTANTS, ids=ids)
def test_mutant_lacks_the_property(mutant: Mutant) -> None:
    with pytest.raises(mutant.error):
        mutant.caught_by(mutant.package())


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.runs], ids=lambda m: m.species)
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


def test_every_property_is_needed() -> None:
    assert {mutant.caught_by for mutant in MUTANTS} == set(properties.PROPERTIES)
