"""Viewers leave the page: what they draw with goes into files, what is read without stays."""

from pathlib import Path

import pytest
import torch
from book_loading import FOLDER, LARGE, move_viewers

from cleanformer_lite.viewers import head_view, stage

pytestmark = [  # bertviz leaves its script open
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def moved(tmp_path: Path) -> tuple[str, dict[str, str]]:
    """A page with two stages and bertviz's view, and the files that have come of it."""
    stages = [stage(step=step).page() for step in ("words", "scores")]
    view = head_view(torch.full((1, 2, 2), 0.5), ["an", "ox"]).data
    page = tmp_path / "page.html"
    page.write_text("\n".join(["<p>before</p>", *stages, view, "<p>after</p>"]), encoding="utf8")
    move_viewers(tmp_path, page)
    files = {f.stem: f.read_text(encoding="utf8") for f in (tmp_path / FOLDER).glob("*.js")}
    once = page.read_text(encoding="utf8")
    move_viewers(tmp_path, page)
    assert page.read_text(encoding="utf8") == once  # a page that an earlier build has written
    return once, files


def test_the_page_keeps_what_is_read_and_names_the_files(moved: tuple[str, dict[str, str]]) -> None:
    page, files = moved
    assert "<style" not in page
    assert "viewer.render" not in page
    assert page.count('class="viewer-static"') == 2
    assert page.startswith("<p>before</p>")
    assert page.endswith("<p>after</p>")
    named = [loads.split('"')[1].split() for loads in page.split("data-loads=")[1:]]
    assert len(named) == 3
    assert {name for names in named for name in names} == set(files)
    assert page.count("data-first") == 1


def test_viewers_of_one_kind_share_a_script_that_draws_the_one_that_is_due(
    moved: tuple[str, dict[str, str]],
) -> None:
    page, files = moved
    stages = {loads.split('"')[1].split()[-1] for loads in page.split("data-loads=")[1:3]}
    [name] = stages
    assert f'[data-due="{name}"]:not([data-mounted])' in files[name]
    assert "@NAME@" not in files[name]
    assert len(files) == 2


def test_much_data_becomes_a_file_and_little_stays(tmp_path: Path) -> None:
    page = tmp_path / "book" / "page.html"
    page.parent.mkdir()
    little = stage().page()
    before, after = little.split('<script type="application/json">')
    much = f'{before}<script type="application/json">{{"it\'s":"\\\\{"a" * LARGE}",{after[1:]}'
    page.write_text(f"{little}\n{much}", encoding="utf8")
    move_viewers(tmp_path, page)
    text = page.read_text(encoding="utf8")
    assert text.count('<script type="application/json"></script>') == 1
    [data] = [
        content
        for file in (tmp_path / FOLDER).glob("*.js")
        if "textContent = '" in (content := file.read_text(encoding="utf8"))[:200]
    ]
    assert """{"it\\'s":"\\\\\\\\aaa""" in data


def test_a_style_of_nobodys_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(stage().page().replace("<style>", "<style>p { top: 0 }"), encoding="utf8")
    with pytest.raises(ValueError, match="wanted a style sheet of the package"):
        move_viewers(tmp_path, page)


def test_the_stage_of_a_page_is_small(moved: tuple[str, dict[str, str]]) -> None:
    page, files = moved
    name = page.split("data-loads=")[1].split('"')[1].split()[-1]
    assert len(files[name].encode()) < 23_000
