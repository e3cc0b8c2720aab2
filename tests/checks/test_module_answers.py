"""Right answers pass in every style; every mistake is rejected and named, in two styles."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from write_mistakes import TWINS, mistake_modules

from cleanformer_lite.checks import EXERCISES, MISTAKES, judge, observe
from cleanformer_lite.checks.course.split_heads import MODULE
from cleanformer_lite.checks.engine.attention import Attention, module_of
from cleanformer_lite.checks.engine.evidence import Evidence
from cleanformer_lite.checks.engine.function_probe import FunctionProbe
from cleanformer_lite.checks.engine.module_probe import failures
from cleanformer_lite.checks.observations import ModuleObservations
from cleanformer_lite.single_head import SingleHeadAttention
from tests.checks.fused_specimens import SWAPS, answer
from tests.checks.right_answers import RIGHT

LOOPED = EXERCISES["looped_heads.module"]
REPAIR = EXERCISES["registration_bug.repair"]
SEED = 5
# A loop's exercise has neither `is_causal` nor dropout.
NOT_LOOPED = (
    *("causal_mask_shifted", "masks_joined_by_or"),
    *("dropout_in_eval", "dropout_unused", "dropout_elsewhere"),
)
# Nor have these variants of mistakes that it does show.
OF_CAUSAL_ALONE = ("mask_ignored-2", "mask_ignored-5")
# Seen in an output alone, without masks.
IN_OUTPUT = (
    *("one_key_head", "key_uses_query", "only_last_head", "residual_inside", "bias_twice"),
    *("heads_not_transposed", "heads_summed"),
    "built_in_forward",
    "plain_list",
    "shared_layer",
    "split_before_projection",
    "value_uses_key",
    "no_output_projection",
    "input_changed_in_place",
    "split_without_transpose",
    "merge_without_transpose",
    "merge_mixes_batch",
    "view_not_contiguous",
    "batch_first_forgotten",
    "einsum_axes_swapped",
    "softmax_over_queries",
    "scaled_by_embed_dim",
    "scaled_by_another_size",
    "scale_after_softmax",
    "scale_without_root",
    "softmax_over_heads",
    "softmax_over_another_axis",
    "gradient_lost",
    "nonlinear_projection",
    "scale_inverted",
    "scale_missing",
)


# Seen in an output alone, and not named there: which map every head has is not returned.
UNNAMED_IN_OUTPUT = ("one_wide_head",)


def output_alone(module: type[nn.Module]) -> type[nn.Module]:
    """Let a module return its output alone."""

    def forward(self: nn.Module, x: Any) -> Any:
        return module.forward(self, x)[0]

    return type(module.__name__, (module,), {"forward": forward})


def in_two_styles() -> list[Any]:
    """Pair every species with its modules in both styles."""
    found = []
    for species, modules in mistake_modules().items():
        fused = [answer(*swaps) for swaps in SWAPS[species]]
        for index, module in enumerate((*modules, *fused)):
            found.append(pytest.param(species, module, id=f"{species}-{index}"))
    return found


@pytest.mark.parametrize("module", [*RIGHT, answer()], ids=lambda module: module.__name__)
def test_right_answers_pass_in_every_style(module: type[nn.Module]) -> None:
    for exercise, tried in ((MODULE, module), (LOOPED, module), (REPAIR, output_alone(module))):
        report = judge(exercise, observe(exercise, tried, SEED), SEED)
        assert report.passed, report
        assert report.species == ()
        assert report.points == report.max_points


@pytest.mark.parametrize("module", RIGHT, ids=lambda module: module.__name__)
def test_the_projections_of_every_style_are_found(module: type[nn.Module]) -> None:
    observed = observe(MODULE, module, SEED)
    assert isinstance(observed, ModuleObservations)
    assert Evidence(observed, MODULE.probe.contract, SEED).readings  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", [126533941, 2076216121, 1208364238, 546059750])
def test_a_gradient_that_is_nothing_by_chance_hides_no_projection(seed: int) -> None:
    """With these one row of the values has next to none for one token."""
    observed = observe(MODULE, module_of(Attention), seed)
    assert isinstance(observed, ModuleObservations)
    readings = Evidence(observed, MODULE.probe.contract, seed).readings  # type: ignore[attr-defined]
    assert len(readings) >= 2


@pytest.mark.parametrize(("species", "module"), in_two_styles())
def test_every_mistake_is_named_in_two_styles(species: str, module: type[nn.Module]) -> None:
    report = judge(MODULE, observe(MODULE, module, SEED), SEED)
    assert not report.passed
    assert report.species == (species,)
    assert report.failed
    assert report.counterexample is not None


@pytest.mark.parametrize(("species", "module"), in_two_styles())
def test_a_loop_is_judged_by_the_same_mistakes(
    species: str, module: type[nn.Module], request: pytest.FixtureRequest
) -> None:
    report = judge(LOOPED, observe(LOOPED, module, SEED), SEED)
    right = species in NOT_LOOPED or request.node.callspec.id in OF_CAUSAL_ALONE
    assert report.species == (() if right else (species,))
    assert report.passed == right


@pytest.mark.parametrize(("species", "module"), in_two_styles())
def test_an_output_alone_names_what_it_can(species: str, module: type[nn.Module]) -> None:
    report = judge(REPAIR, observe(REPAIR, output_alone(module), SEED), SEED)
    expected = (species,) if species in IN_OUTPUT else ()
    assert report.species in (expected, TWINS[REPAIR.id] if species in TWINS[REPAIR.id] else ())
    assert report.passed == (species not in (*IN_OUTPUT, *UNNAMED_IN_OUTPUT))


def test_the_target_shown_is_that_of_the_answers_own_weights() -> None:
    """Twice the right output: no other way to read the weights has half of it for a target."""

    class Doubled(RIGHT[3]):  # type: ignore[misc, valid-type]
        def forward(self, *given: Any, **named: Any) -> Any:
            output, weights = super().forward(*given, **named)
            return 2 * output, weights

    report = judge(MODULE, observe(MODULE, Doubled, SEED), SEED)
    assert report.failed == ("equal_to_torch",)
    assert report.species == ()
    assert report.counterexample is not None
    yours, target = float(report.counterexample.yours), float(report.counterexample.target)
    assert yours == pytest.approx(2 * target, rel=0.01)


@pytest.mark.parametrize(
    ("kept", "word"),
    [(list, "a list"), (tuple, "a tuple"), (lambda heads: dict(enumerate(heads)), "a dictionary")],
    ids=["list", "tuple", "dictionary"],
)
def test_layers_that_are_not_registered_are_named_whatever_holds_them(kept: Any, word: str) -> None:
    """The card says what all of these have in common, and calls none of them by another's name."""

    class Hidden(nn.Module):
        def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
            super().__init__()
            self.heads = kept(
                [
                    SingleHeadAttention(embed_dim, head_dim=embed_dim // num_heads)
                    for _ in range(num_heads)
                ]
            )
            self.out_proj = nn.Linear(embed_dim, embed_dim)

        def forward(self, x: Tensor) -> Tensor:
            heads = self.heads.values() if isinstance(self.heads, dict) else self.heads
            return self.out_proj(torch.cat([head(x) for head in heads], dim=-1))  # type: ignore[no-any-return]

    report = judge(REPAIR, observe(REPAIR, Hidden, SEED), SEED)
    assert report.species == ("plain_list",)
    assert word in MISTAKES["plain_list"].cause
    assert word in str(report)


MEANS: dict[str, Any] = {
    "one map": lambda maps: maps.mean(1),
    "one axis kept": lambda maps: maps.mean(1, keepdim=True),
    "the same for every head": lambda maps: maps.mean(1, keepdim=True).expand(maps.shape),
}


@pytest.mark.parametrize("mean", MEANS)
def test_averaged_maps_are_named_in_whatever_shape_they_come(mean: str) -> None:
    class Averaged(answer()):  # type: ignore[misc]
        def forward(self, *given: Any, **named: Any) -> Any:
            output, weights = super().forward(*given, **named)
            return output, MEANS[mean](weights)

    report = judge(MODULE, observe(MODULE, Averaged, SEED), SEED)
    assert report.species == ("maps_averaged",), report


def test_the_first_counterexample_is_one_to_follow_by_hand() -> None:
    """Maps that sum to 1 along the queries fail by a large case first, and by a small one too."""
    swaps = SWAPS["softmax_over_queries"][0]
    report = judge(MODULE, observe(MODULE, answer(*swaps), SEED), SEED)
    assert report.counterexample is not None
    assert report.counterexample.inputs.startswith("embed_dim=2, num_heads=2, x=[[[")
    assert report.failed[0] == "rows_sum_to_one"
    assert report.failed.index("projections_are_linear") == 1
    assert len(set(report.failed)) == len(report.failed)


def test_of_a_large_map_a_whole_row_is_shown() -> None:
    swaps = SWAPS["scaled_by_embed_dim"][0]
    observed = observe(MODULE, answer(*swaps), SEED)
    assert isinstance(observed, ModuleObservations)
    found = failures(Evidence(observed, MODULE.probe.contract, SEED))  # type: ignore[attr-defined]
    shown = found["equal_to_torch"]
    assert shown.yours.startswith("[")
    assert shown.yours.count(",") == shown.target.count(",") == 4


def test_a_check_leaves_every_generator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's GPU draws go on as they were, too."""

    def reseeded(seed: int) -> None:
        raise AssertionError(seed)

    monkeypatch.setattr(torch, "manual_seed", reseeded)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeded)
    assert judge(MODULE, observe(MODULE, RIGHT[0], SEED), SEED).passed


def test_every_species_has_specimens_in_two_styles_or_an_exercise_of_its_own() -> None:
    known = {
        species
        for exercise in EXERCISES.values()
        if isinstance(exercise.probe, FunctionProbe)
        for species in exercise.probe.mistakes
    }
    # By its values this is `scale_without_root`; an examination looks at the steps.
    examined = {"scaled_twice"} | {
        name
        for name, mistake in MISTAKES.items()
        if getattr(mistake.classes[0], "shown_by_examine", False)
    }
    assert set(MISTAKES) - set(mistake_modules()) - examined <= known
    assert set(mistake_modules()) == set(SWAPS)
