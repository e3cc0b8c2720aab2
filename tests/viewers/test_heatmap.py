"""What heatmap draws: every weight in its place, and panels that say which head they show."""

import pytest
import torch

from cleanformer_lite.viewers import heatmap

WEIGHTS = torch.arange(30.0).view(2, 3, 5) / 30
QUERIES = ["a", "b", "c"]
KEYS = ["v", "w", "x", "y", "z"]


def test_queries_run_down_and_keys_to_the_right() -> None:
    figure = heatmap(WEIGHTS, QUERIES, KEYS, title="Two heads")
    panels = figure.axes
    assert [panel.get_title() for panel in panels] == ["head 0", "head 1"]
    assert figure.get_suptitle() == "Two heads"
    for head, panel in enumerate(panels):
        assert [label.get_text() for label in panel.get_xticklabels()] == KEYS
        assert [label.get_text() for label in panel.get_yticklabels()] == QUERIES
        assert (panel.get_xlabel(), panel.get_ylabel()) == ("key", "query")
        drawn = panel.images[0].get_array()
        for query in range(3):
            for key in range(5):
                assert drawn[query, key] == pytest.approx(WEIGHTS[head, query, key].item())


def test_small_ones_carry_their_numbers_in_place() -> None:
    [panel] = heatmap(WEIGHTS[:1], QUERIES, KEYS).axes
    numbers = {text.get_position(): text.get_text() for text in panel.texts}
    assert numbers[4, 0] == f"{WEIGHTS[0, 0, 4].item():.2f}"
    assert numbers[0, 2] == f"{WEIGHTS[0, 2, 0].item():.2f}"
    assert len(numbers) == 15


def test_large_ones_carry_none() -> None:
    [panel] = heatmap(torch.rand(1, 9, 9), list("abcdefghi")).axes
    assert list(panel.texts) == []


def test_every_panel_has_one_scale_and_empty_ones_are_hidden() -> None:
    panels = heatmap(torch.rand(5, 2, 2), ["a", "b"]).axes
    assert {panel.images[0].get_clim() for panel in panels[:5]} == {(0, 1)}
    assert [panel.axison for panel in panels] == [True] * 5 + [False] * 3


def test_heads_have_the_names_they_are_given() -> None:
    panels = heatmap(WEIGHTS, QUERIES, KEYS, names=["one", "two"]).axes
    assert [panel.get_title() for panel in panels] == ["one", "two"]
    with pytest.raises(ValueError, match="2 heads, got 1"):
        heatmap(WEIGHTS, QUERIES, KEYS, names=["one"])


def test_a_notebook_shows_the_figure_once() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    heatmap(WEIGHTS, QUERIES, KEYS)
    assert pyplot.get_fignums() == before


def test_words_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted 5 key_tokens"):
        heatmap(WEIGHTS, QUERIES)
