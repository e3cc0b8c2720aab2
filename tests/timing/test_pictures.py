import re

import pytest

from cleanformer_lite.timing import Comparison, fit_line, plot_comparison, plot_law


def comparison(**microseconds: list[float]) -> Comparison:
    seconds = {name: [1e-6 * x for x in found] for name, found in microseconds.items()}
    return Comparison(seconds, "somewhere")


def test_bars_are_medians_with_their_quartiles() -> None:
    axes = plot_comparison(comparison(a=[10, 20, 30], b=[40, 50, 90])).axes[0]
    assert [round(bar.get_width(), 6) for bar in axes.patches] == [20, 50]
    lines = axes.containers[0].lines[2][0].get_segments()
    assert [[round(x) for x, _ in line] for line in lines] == [[10, 30], [40, 90]]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text().strip() for text in axes.texts] == ["20 us", "50 us"]
    assert axes.get_xscale() == "linear"


def test_times_far_apart_stand_as_points_on_a_logarithmic_axis() -> None:
    axes = plot_comparison(comparison(a=[10, 20, 30], b=[400, 500, 900])).axes[0]
    assert axes.get_xscale() == "log"
    assert len(axes.patches) == 0
    assert [round(x) for x in axes.lines[0].get_xdata()] == [20, 500]


def test_the_law_is_drawn_through_what_was_measured() -> None:
    operators, seconds = [9, 16, 30], [1.0e-5, 1.7e-5, 3.1e-5]
    line = fit_line(operators, seconds)
    axes = plot_law(operators, seconds, line, [1, 2, 4]).axes[0]
    law, measured = axes.lines
    assert list(measured.get_xdata()) == operators
    assert [round(y, 6) for y in measured.get_ydata()] == [10, 17, 31]
    assert [round(y, 6) for y in law.get_ydata()] == [1, 31]  # from no operator to the most
    labels = [text.get_text().strip() for text in axes.texts]
    assert labels == ["1 head", "2 heads", "4 heads", str(line)]
    assert [round(y, 6) for _, y in (text.xy for text in axes.texts[:3])] == [10, 17, 31]


def test_a_table_of_bars_has_one_scale_from_zero() -> None:
    found = comparison(a=[10, 20, 30], b=[40, 50, 90])
    html = found._repr_html_()
    # 90 us is the longest quartile: each bar is its median's share of it, in percent.
    assert [float(width) for width in re.findall(r"px solid #0b3c5d;width:([\d.]+)%", html)] == [
        pytest.approx(100 * median / 90, abs=0.01) for median in (20, 50)
    ]
    whiskers = re.findall(r"left:([\d.]+)%;width:([\d.]+)%", html)
    assert [float(part) for pair in whiskers for part in pair] == [
        pytest.approx(100 * part / 90, abs=0.01) for part in (10, 20, 40, 50)
    ]
    for text in ("20 us", "50 us", "relative to a", "somewhere"):
        assert text in html
    assert "attention" not in html  # nobody knows, so there is no empty column


def test_names_are_text_and_not_markup() -> None:
    html = Comparison({"<b>": [1e-6, 1e-6]}, "a & b")._repr_html_()
    assert "&lt;b&gt;" in html
    assert "a &amp; b" in html
