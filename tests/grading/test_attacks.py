"""Nothing that is handed in scores without being right, and nothing stops the others."""

import pytest

from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.result import Result
from cleanformer_lite.checks.grading.runner import Runner
from tests.grading.conftest import LAYERS
from tests.grading.handed_in import ATTACKS, RIGHT, WRONG, notebook
from tests.grading.running import grade


@pytest.fixture(scope="module", params=LAYERS)
def graded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    """The whole class in one folder, the honest between the others, graded two at a time."""
    folder = tmp_path_factory.mktemp("submissions")
    for name, (content, _) in ATTACKS.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for name in ("aaa.py", "kkk.py", "zzz.py"):
        (folder / name).write_text(f"{RIGHT}\n# {name}\n")
    (folder / "nnn.ipynb").write_text(notebook("%matplotlib inline", "1 / 0", RIGHT))
    (folder / "wrong.py").write_text(WRONG)
    (folder / "link.py").symlink_to(folder / "aaa.py")
    out = tmp_path_factory.mktemp("grades")
    with Runner(Limits(seconds=3, memory=1024), jobs=2, isolation=request.param) as runner:
        results = grade(folder, out, runner).results
    assert len(results) == len(ATTACKS) + 6
    return {result.submission: result for result in results}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_scores_nothing_and_is_named(graded: dict[str, Result], name: str) -> None:
    row = graded[name]
    assert row.points == 0
    assert row.status in ATTACKS[name][1].split(), row.message


@pytest.mark.parametrize("name", ["aaa.py", "kkk.py", "zzz.py", "nnn.ipynb"])
def test_honest_answer_beside_attacks_passes(graded: dict[str, Result], name: str) -> None:
    assert (graded[name].status, graded[name].points) == ("passed", graded[name].max_points)


def test_wrong_answer_is_named_for_its_mistake(graded: dict[str, Result]) -> None:
    assert graded["wrong.py"].status == "failed"
    assert graded["wrong.py"].species == ("merge_without_transpose",)


def test_link_is_refused(graded: dict[str, Result]) -> None:
    assert graded["link.py"].status == "refused"


def test_syntax_error_says_where(graded: dict[str, Result]) -> None:
    assert graded["syntax_error.ipynb"].message.startswith("cell 2, line 1: SyntaxError")
