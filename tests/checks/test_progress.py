"""Progress survives another notebook, a damaged file and a download."""

from pathlib import Path

import pytest

from cleanformer_lite.checks import Progress, Report


def report(exercise: str, points: int, status: str = "failed") -> Report:
    return Report(exercise, status, points, 3)


def test_the_best_result_counts_and_tries_are_counted() -> None:
    progress = Progress()
    for points, status in ((0, "failed"), (3, "passed"), (0, "failed"), (0, "missing")):
        progress.record(report("a.b", points, status))
    assert progress.results["a.b"] == {
        "points": 3,
        "max_points": 3,
        "status": "passed",
        "tries": 3,
        "mistake": "",
    }
    assert progress.points == 3


def test_two_notebooks_share_one_file(tmp_path: Path) -> None:
    file = tmp_path / "progress.json"
    first, second = Progress.load(file), Progress.load(file)
    first.record(report("a.b", 3, "passed"))
    second.record(report("c.d", 2, "passed"))
    assert set(Progress.load(file).results) == {"a.b", "c.d"}
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_a_download_is_put_back_without_loss(tmp_path: Path) -> None:
    old = Progress()
    old.record(report("a.b", 3, "passed"))
    copy = Progress.load(old.save(tmp_path / "download.json"))
    here = Progress()
    here.record(report("a.b", 0))
    here.record(report("c.d", 1, "passed"))
    here.merge(copy)
    assert here.results["a.b"]["points"] == 3
    assert here.results["c.d"]["points"] == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"results": 3}', '{"results": {"a.b": {"points": "3"}}}', "[" * 100000],
)
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "progress.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"progress\.json"):
        Progress.load(file)
    with pytest.raises(ValueError, match=r"progress\.json"):
        Progress(file).record(report("a.b", 1))
    assert file.read_text() == text


def test_a_progress_prints_all_exercises() -> None:
    progress = Progress()
    progress.record(report("split_heads.merge", 2, "passed"))
    assert "split_heads.merge: 2 of 2" in str(progress)
    assert "split_heads.split: 0 of 2" in str(progress)
