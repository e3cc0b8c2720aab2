import re
from typing import Any

import pytest

from cleanformer_lite.viewers import picture
from cleanformer_lite.viewers.picture import COLOURS


def drawn(words: str = "Two lines & a label") -> Any:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3), layout="constrained")
    axes.plot([1, 2, 3], [3, 1, 2], "o-", color=COLOURS["query"])
    axes.plot([1, 2, 3], [1, 1, 2], "s--", color="black")
    axes.set_title("small", fontsize=5)
    return picture(figure, words)


def test_it_has_no_colour_of_its_own_but_the_pages() -> None:
    svg = drawn().svg
    assert "currentColor" in svg
    assert f"var(--query, {COLOURS['query']})" in svg
    bare = svg.replace(f"var(--query, {COLOURS['query']})", "")
    assert re.findall(r"#[0-9a-f]{6}\b", bare) == []


def test_its_words_are_read_and_cannot_break_out() -> None:
    assert 'aria-label="Two lines &amp; a label"' in drawn().svg
    assert 'aria-label="&quot;&gt;&lt;b&gt;"' in drawn('"><b>').svg
    with pytest.raises(ValueError, match="wanted words that say what the picture shows"):
        drawn(" ")


def test_text_is_text_and_large_enough() -> None:
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", drawn().svg)]
    assert len(sizes) > 5
    assert min(sizes) >= 12
    assert "font-family" not in drawn().svg.split(">", 1)[1]


def test_two_pictures_share_no_id_and_the_same_one_is_the_same() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', drawn(words).svg)) for words in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert drawn().svg == drawn().svg
    for svg in (drawn("one").svg, drawn("two").svg):
        for used in re.findall(r'(?:href="#|url\(#)(\w+)', svg):
            assert f'id="{used}"' in svg
