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
    axes = plot_law(operators, seconds, line).axes[0]
    law, measured = axes.lines
    assert list(measured.get_xdata()) == operators
    assert [round(y, 6) for y in measured.get_ydata()] == [10, 17, 31]
    assert [round(y, 6) for y in law.get_ydata()] == [1, 31]  # from no operator to the most
    assert "R2 = 1.0000" in axes.get_legend().get_texts()[0].get_text()
