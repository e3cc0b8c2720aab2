"""The card: eight lines, the text twin of the picture, and nothing of the answer unescaped."""

import pytest
import torch
from write_mistakes import mistake_modules

from cleanformer_lite.checks import EXERCISES, MISTAKES, Counterexample, Report, check
from cleanformer_lite.checks.engine.attention import AttentionModule
from cleanformer_lite.checks.engine.compare import paired

EVIL = "<script>alert(1)</script>"


def failed(**changes: object) -> Report:
    case = Counterexample("x", "[1, 2]", "[3, -4]", numbers=((1.0, 3.0), (2.0, -4.0)))
    found = {"failed": ("runs",), "counterexample": case}
    return Report("split_heads.merge", "failed", 0, 2, **{**found, **changes})  # type: ignore[arg-type]


def test_a_mistake_takes_eight_lines_at_most() -> None:
    for species, modules in mistake_modules().items():
        text = str(check("split_heads.module", modules[0]))
        assert len(text.splitlines()) <= 8
        assert f"Known mistake {species}" in text
        assert "hint('split_heads.module')" in text


def test_yours_stands_beside_the_target() -> None:
    text = str(check("split_heads.merge", lambda x: x.reshape(len(x), x.shape[2], -1)))
    assert "tried: x = [[[[1], [2]], [[3], [4]]]]" in text
    assert "yours: [[[1, 2], [3, 4]]]" in text
    assert "target: [[[1, 3], [2, 4]]]" in text
    assert MISTAKES["merge_without_transpose"].thread in text


def test_words_of_an_answer_are_escaped() -> None:
    case = Counterexample(EVIL, EVIL, EVIL, EVIL)
    page = failed(counterexample=case, message=EVIL)._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page

    def raises(x: object) -> None:
        raise ValueError(EVIL)

    assert "<script" not in check("split_heads.merge", raises)._repr_html_()


def test_the_picture_has_a_bar_for_each_number_and_a_text() -> None:
    page = failed()._repr_html_()
    assert page.count("<rect") == 4
    assert "<title>yours hatched: [1.0, 2.0]; target filled: [3.0, -4.0]</title>" in page
    assert "currentColor" in page
    assert "#fff" not in page.lower()


@pytest.mark.parametrize(
    ("yours", "target"),
    [
        ("TypeError: 3", torch.zeros(2)),
        (torch.zeros(1), torch.zeros(2)),
        (torch.tensor([torch.nan, 1.0]), torch.zeros(2)),
        (torch.zeros(2, dtype=torch.complex64), torch.zeros(2)),
        (torch.zeros(9), torch.zeros(9)),
        (None, torch.zeros(2)),
    ],
)
def test_words_and_unequal_numbers_have_no_picture(yours: object, target: object) -> None:
    assert paired(yours, target) == ()
    assert "<svg" not in failed(counterexample=Counterexample("x", "1", "2"))._repr_html_()


def test_a_few_numbers_of_two_tensors_are_paired() -> None:
    pairs = paired(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -4.0]]))
    assert pairs == ((1.0, 3.0), (2.0, -4.0))


def test_a_report_prints_as_its_card() -> None:
    assert repr(failed()) == str(failed()) == failed().text()
    assert "cleanformer-lite hint split_heads.merge" in failed().text(shell=True)


def test_two_candidates_and_none_are_said_honestly() -> None:
    both = failed(species=("softmax_over_queries", "einsum_axes_swapped"))
    assert "Two or more known mistakes" in str(both)
    assert "No mistake that we know" in str(failed())
    assert "No mistake" not in str(failed(message="wanted a class"))


def test_links_lead_to_threads() -> None:
    page = failed(species=("nan_rows",))._repr_html_()
    assert '<a href="https://github.com/pytorch/pytorch/issues/41508" ' in page


def test_a_long_value_stays_on_its_line() -> None:
    text = str(failed(counterexample=Counterexample("x\n" * 50, "y" * 5000, "z\nz")))
    assert len(text.splitlines()) <= 8
    assert max(len(line) for line in text.splitlines()) < 200


def test_every_exercise_says_what_is_wanted() -> None:
    for exercise in EXERCISES.values():
        assert exercise.entry_point in exercise.prompt
        assert exercise.entry_point in exercise.starter
        assert exercise.id.startswith(f"{exercise.chapter}.")
        assert 1 <= exercise.difficulty <= 3
        assert 2 <= exercise.minutes <= 30
        assert len(set(exercise.properties)) == len(exercise.properties)


class WithoutDropout(AttentionModule):
    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__(embed_dim, num_heads)


class WithoutCausal(AttentionModule):
    def forward(  # type: ignore[override]
        self, x: torch.Tensor, attn_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(x, attn_mask)


@pytest.mark.parametrize(
    ("module", "error"),
    [(WithoutDropout, "keyword argument 'dropout'"), (WithoutCausal, "argument 'is_causal'")],
)
def test_an_argument_that_is_not_taken_is_said_whole(module: type, error: str) -> None:
    text = str(check("split_heads.module", module))
    assert error in text
    assert "tried: " in text


async def merges_later(x: torch.Tensor) -> torch.Tensor:
    return x


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (lambda x: x.numpy(), "an object of type ndarray"),
        (merges_later, "an object of type coroutine"),
        (lambda x: {}, "an empty result"),
        (lambda x: [x], "yours: ([[[["),
    ],
)
def test_what_came_in_place_of_a_tensor_is_named(answer: object, came: str) -> None:
    assert came in str(check("split_heads.merge", answer))


def test_of_large_tensors_the_worst_number_is_shown() -> None:
    def off(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        if scores.numel() > 16:
            scores = scores.clone()
            scores.view(-1)[-1] += 7.0
        return scores

    report = check("single_head.scores", off)
    case = report.counterexample
    assert case is not None
    assert "[1, 2, 4, 3]" in case.what
    assert float(case.yours) - float(case.target) == pytest.approx(7.0, abs=0.1)


def test_a_list_does_for_a_tuple() -> None:
    def thirds(projected: torch.Tensor, num_heads: int) -> list[torch.Tensor]:
        heads = (*projected.shape[:2], num_heads, -1)
        return [part.view(heads).transpose(1, 2) for part in projected.chunk(3, dim=-1)]

    assert check("fused_heads.thirds", thirds).passed
