"""Examine any attention: find it in a model, ask it, and name the bug."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from cleanformer_lite.checks.examination import (
    causality,
    dropout,
    groups,
    heads,
    masks,
    own_masks,
    questions,
    scores,
)
from cleanformer_lite.checks.examination.bench import (
    TOLERANCE,
    Bench,
    differ,
    make_bench,
)
from cleanformer_lite.checks.examination.discover import (
    Site,
    candidates,
    innermost,
    kept_as_it_was,
    record_calls,
)
from cleanformer_lite.checks.examination.errors import NotAskedError, short
from cleanformer_lite.checks.examination.expect import Expect
from cleanformer_lite.checks.examination.finding import (
    AttentionBugError,
    ExamineReport,
    Finding,
    ModuleReport,
)
from cleanformer_lite.checks.examination.influence import influence
from cleanformer_lite.checks.examination.known import named
from cleanformer_lite.checks.examination.mask_forms import mask_names
from cleanformer_lite.checks.examination.questions import Examination

SEED = 20261125
# With one of these, tokens mix in ways that no mask explains.
HIDES_MASKS = (
    *("samples_mixed", "merge_mixes_batch", "softmax_over_queries", "softmax_over_another_axis"),
    *("softmax_over_heads", "rows_do_not_sum_to_one"),
    *("einsum_axes_swapped", "split_without_transpose", "merge_without_transpose"),
)
# Found before masks are tried, these come from a causal mask that the module makes itself.
OF_OWN_MASKS = ("mask_after_softmax", "mask_multiplied", "fill_too_weak")
OF_MASKS = (
    *("mask_after_softmax", "mask_multiplied", "mask_added", "fill_too_weak", "masked_keys_leak"),
    *("mask_ignored", "mask_on_queries", "mask_inverted", "mask_repeat_order"),
)
__all__ = ["AttentionBugError", "ExamineReport", "Expect", "Finding", "ModuleReport", "examine"]


def examine(
    model: nn.Module, *args: Any, expect: Expect | None = None, seed: int = SEED, **kwargs: Any
) -> ExamineReport:
    """Find every attention in a model by one call, ask each of them, and say what is wrong.

    `args` and `kwargs` are a call of the model as you make it. The questions are asked of copies
    with parameters of their own, so the model stays as it was.

    Shapes: any that the model takes; an attention inside it takes and gives `(N, L, E)` or
    `(L, N, E)`.

    Raises: TypeError if `model` is no module; ValueError if its parameters have no values.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ValueError("model must have its parameters loaded, got some on the meta device")
    report = ExamineReport()
    with kept_as_it_was(model):
        try:
            sites = record_calls(model, args, kwargs)
        except Exception as error:
            report.modules.append(_raised(model, error))
            return report
        owned = {id(p) for p in model.parameters()}
        benches = _attentions(sites, report, seed)
        for bench, site in benches:
            report.modules.append(examine_bench(bench, site, expect or Expect(), owned))
    if not report.modules:
        report.remarks.append(
            f"no attention was found among {len(sites)} modules: none takes (N, L, E), gives "
            "(N, L, E), and lets one token change another; call it with at least two samples of "
            "at least three tokens"
        )
    return report


def _raised(model: nn.Module, error: Exception) -> ModuleReport:
    """Report a call that cannot be made."""
    mistake = "view_not_contiguous" if "view size is not compatible" in str(error) else ""
    finding = named(
        mistake, "the call raises", tried="your call", yours=short(error, 200), target="a result"
    )
    return ModuleReport("", type(model).__name__, [finding])


def _attentions(
    sites: dict[str, Site], report: ExamineReport, seed: int
) -> list[tuple[Bench, Site]]:
    """Keep the innermost modules in which one token changes another."""
    found: dict[str, tuple[Bench, Site]] = {}
    for site in candidates(sites):
        try:
            bench = make_bench(site, seed)
            if mixes_tokens(bench):
                found[site.name] = (bench, site)
        except NotAskedError as reason:
            report.remarks.append(f"{site.name}: not examined: {reason}")
        except Exception as error:
            if "att" in type(site.module).__name__.lower():
                report.remarks.append(f"{site.name}: not examined: {short(error)}")
    kept = innermost(list(found))
    if "" in found and "" not in kept and _carries_masks(found[""][0], kept):
        kept = ["", *kept]  # ask the wrapper too, because it may change the masks
    return [found[name] for name in kept]


def _carries_masks(whole: Bench, inside: list[str]) -> bool:
    """Say whether a model's masks may be meant for all the attentions inside it."""
    return bool(mask_names(whole)) and (len(inside) == 1 or not whole.is_cross)


@torch.no_grad()
def mixes_tokens(bench: Bench) -> bool:
    """Say whether one token changes another other than linearly, as a convolution would."""
    changes, chosen = influence(bench)
    others_of = [[row for row in range(len(changes)) if row != token] for token in chosen]
    reads = any(
        float(changes[others, column].max()) > TOLERANCE
        for column, others in enumerate(others_of)
        if others
    )
    if not reads and not (bench.is_cross and float(changes.max()) > TOLERANCE):
        return False
    base = bench.call().output
    once, twice = (bench.call(bench.changed(0, by)).output - base for by in (1.0, 2.0))
    return differ(twice, 2 * once, base)  # a convolution would be linear


def examine_bench(bench: Bench, site: Site, expect: Expect, owned: set[int]) -> ModuleReport:
    """Ask one attention all questions."""
    if isinstance(site.module, nn.MultiheadAttention):
        expect = replace(expect, mask=None)  # True = blocked, as its documentation says
    report = ModuleReport(site.name, type(site.module).__name__)
    exam = Examination(bench, expect, report, owned)
    insight = None
    is_around = any(isinstance(part, nn.MultiheadAttention) for part in _below(site.module))
    try:
        insight = heads.Insight(exam)
        exam.heads = heads.count_heads(insight, bench.batch)
    except Exception as error:
        report.unknown.append(f"what happens inside ({short(error, 80)})")
    if is_around:
        insight = None  # that is asked of the module inside
    kind = "cross-attention" if bench.is_cross else "self-attention"
    layout = "(N, L, E)" if bench.token_axis == 1 else "(L, N, E)"
    report.what += f", {kind} {layout}, E={bench.embed_dim}"
    if insight is not None and insight.cores:
        report.what += f", H={exam.heads}"
    _ask_all(exam, insight)
    _say_layout(exam)
    return report


def _below(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if part is not module]


def _ask_all(exam: Examination, insight: heads.Insight | None) -> None:
    exam.ask("every parameter is registered", questions.keeps_its_weights)
    exam.ask("two calls in eval() agree", questions.agrees_with_itself)
    exam.ask("its arguments are left alone", questions.leaves_its_input)
    if "two calls in eval() agree" not in exam.report.holds:
        exam.report.unknown.append("all else (no two calls agree)")
        return
    exam.ask("samples stay apart", questions.keeps_samples_apart)
    exam.ask("every parameter matrix gets a gradient", questions.trains_every_matrix)
    if insight is not None:
        for what, question in (
            ("no dropout in eval()", heads.drops_nothing_in_eval),
            ("weights of a query sum to 1", scores.weighs_keys),
            ("scores are divided by sqrt(D)", scores.scales_scores),
            ("heads have maps of their own", heads.heads_differ),
            ("a causal mask of its own hides", own_masks.hides_by_its_own),
            ("every head reads all of the input", heads.heads_read_everything),
            ("query heads stay apart", groups.keeps_query_heads_apart),
            ("the output reads every head", groups.reads_every_head),
            ("keys and values of a head belong together", groups.pairs_key_heads),
            ("a score reads its query and key alone", scores.scores_read_their_tokens),
            ("tokens stay apart after the weighted sum", heads.tokens_stay_apart_after),
            ("values have a projection of their own", heads.values_are_their_own),
            ("heads are mixed by an output projection", heads.heads_are_mixed),
        ):
            exam.ask(what, partial(question, insight=insight))
    exam.ask("dropout works in train()", dropout.drops_in_training)
    if exam.found((*HIDES_MASKS, *OF_OWN_MASKS)):
        exam.report.unknown.append(
            "masks and causality (examine again once the bug above is fixed)"
        )
        return
    exam.ask("no token reads a later one", causality.reads_no_future)
    exam.ask("masks hide what they should hide", masks.asks_masks)
    if not exam.found(OF_MASKS):
        exam.ask("a causal flag hides the future, with a mask too", causality.mask_and_causal)


def _say_layout(exam: Examination) -> None:
    """Compare the layout with the declared one."""
    bench, expect = exam.bench, exam.expect
    if bench.token_axis == 0 and expect.batch_first:
        exam.bug(
            named(
                "batch_first_forgotten",
                "attention runs along the first axis, over samples",
                tried="sample 0 changed",
                yours="another sample's output changes",
                target="no other sample changes",
            )
        )
    elif bench.token_axis == 0:
        exam.report.notes.append(
            "inputs are read as (L, N, E); declare batch_first=True if not meant"
        )
