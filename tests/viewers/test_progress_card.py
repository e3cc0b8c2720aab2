import base64
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cleanformer_lite.checks import api, check
from cleanformer_lite.checks.progress import FILE
from cleanformer_lite.viewers import keep_points
from cleanformer_lite.viewers.progress_card import ProgressCard


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    api.kept.clear()


def results(points: int) -> bytes:
    entry = {"points": points, "max_points": 2, "tries": 3, "status": "passed"}
    return json.dumps({"version": 1, "results": {"single_head.scores": entry}}).encode()


def test_a_download_has_what_was_solved(tmp_path: Path) -> None:
    card = keep_points()
    assert list(tmp_path.iterdir()) == []  # nothing is written before somebody asks
    card._take([{"name": "mine.json", "content": memoryview(results(1))}])
    card.download.click()
    found = re.search(rf'download="{FILE}" href="data:application/json;base64,([^"]+)"',
                      card.message.value)  # fmt: skip
    assert found is not None
    kept = json.loads(base64.b64decode(found[1]))["results"]
    assert kept["single_head.scores"]["points"] == 1
    assert "1 points" in card.message.value


@pytest.mark.parametrize("seven", [True, False], ids=["ipywidgets 7", "ipywidgets 8"])
def test_an_upload_is_merged_and_the_better_counts(seven: bool) -> None:
    card = keep_points()

    def upload(content: bytes) -> None:
        file = {"name": "mine.json", "content": content}
        card._take({"mine.json": file} if seven else (file,))

    upload(results(2))
    assert card.message.value == '<p role="status">2 points are kept here now.</p>'
    upload(results(1))
    assert "2 points are kept" in card.message.value
    assert json.loads(Path(FILE).read_text())["results"]["single_head.scores"]["points"] == 2


def test_a_file_that_is_none_is_told_and_nothing_is_lost() -> None:
    card = keep_points()
    card._take([{"content": results(2)}])
    card._take([{"content": b"<b>"}])
    assert "got the uploaded file, damaged" in card.message.value
    assert "<b>" not in card.message.value
    assert card.progress is not None
    assert card.progress.points == 2


def test_in_colab_it_says_what_is_lost_and_keeps_from_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    downloaded: list[str] = []
    google, colab = ModuleType("google"), ModuleType("google.colab")
    colab.files = type("files", (), {"download": downloaded.append})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    card = ProgressCard()
    assert "machine is lost" in card.page()
    assert "text/html" not in card._repr_mimebundle_()
    check("single_head.scores", lambda query, key: query @ key.mT / query.shape[-1] ** 0.5)
    assert json.loads(Path(FILE).read_text())["results"]["single_head.scores"]["points"] == 1
    card.download.click()
    assert downloaded == [FILE]


def test_on_a_page_it_is_closed_and_names_the_two_lines() -> None:
    text = keep_points()._repr_mimebundle_()["text/html"]
    assert text.startswith("<details data-follows-theme><summary>")
    assert "drive.mount(&quot;/content/drive&quot;)\nkeep_progress(" in text
