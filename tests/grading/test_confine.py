"""What an answer cannot reach, tried by answers."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cleanformer_lite.grading import landlock
from cleanformer_lite.grading.confine import describe, user_of
from cleanformer_lite.grading.limits import Limits
from cleanformer_lite.grading.observed import Observed
from cleanformer_lite.grading.runner import Runner
from cleanformer_lite.grading.submissions import Submission
from tests.grading.handed_in import MERGE, RIGHT

Run = Callable[[str], Observed]
needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
needs_root = pytest.mark.skipif(user_of(0) is None, reason="only root can become another user")


def tried(code: str) -> str:
    """Return an answer that tries some code and tells, in an error's text, what came of it."""
    body = "\n".join(f"        {line}" for line in code.splitlines())
    return f"""
import os, sys, socket
def merge_heads(x):
    try:
{body}
    except Exception as error:
        result = type(error).__name__
    raise ValueError(f"told: {{result}}")
"""


def told(seen: Observed) -> str:
    """Return what an answer told."""
    errors = [fact for fact in seen.facts.values() if isinstance(fact, str) and "told:" in fact]
    assert errors, (seen.status, seen.message)
    return errors[0].split("told: ")[1]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read and write, as no folder of pytest's own is."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@needs_landlock
@pytest.mark.parametrize(
    "code",
    [
        "result = open({path!r}).read()",
        "result = os.listdir({folder!r})",
        "result = open({path!r}, 'w').write('mine')",
        "result = os.remove({path!r})",
        "result = os.rename({path!r}, {path!r} + '.old')",
        "result = os.symlink('/etc/passwd', {folder!r} + '/link')",
    ],
)
def test_other_files_stay_out_of_reach(run: Run, open_folder: Path, code: str) -> None:
    other = open_folder / "other.py"
    other.write_text(RIGHT)
    other.chmod(0o666)
    outcome = told(run(tried(code.format(path=str(other), folder=str(open_folder)))))
    assert outcome == "PermissionError"
    assert other.read_text() == RIGHT
    assert os.listdir(open_folder) == ["other.py"]


@needs_landlock
def test_copying_another_submission_scores_nothing(runner: Runner, open_folder: Path) -> None:
    other = open_folder / "other.py"
    other.write_text(RIGHT)
    copies = f"""
def merge_heads(x):
    found = {{}}
    exec(open({str(other)!r}).read(), found)
    return found["merge_heads"](x)
"""
    seen = runner.run(Submission("a.py", "", (("", copies),)), MERGE, seed=1)
    assert any("PermissionError" in str(fact) for fact in seen.facts.values())


def test_answer_starts_in_an_empty_folder_that_it_may_write_in(run: Run) -> None:
    code = "open('mine', 'w').close()\nresult = os.listdir('.')"
    assert told(run(tried(code))) == "['mine']"


def test_folder_is_gone_afterwards(runner: Runner, run: Run) -> None:
    folder = told(run(tried("open('mine', 'w').close()\nresult = os.getcwd()")))
    assert folder.startswith(runner.folder)
    # What torch itself puts beside it, for its compiler, goes with the runner.
    assert [name for name in os.listdir(runner.folder) if name.startswith("answer-")] == []


def test_no_variable_of_ours_is_seen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    with Runner(Limits(seconds=3)) as fresh:
        text = tried("result = 'SOME_TOKEN' in os.environ")
        seen = fresh.run(Submission("a.py", "", (("", text),)), MERGE, seed=1)
    assert told(seen) == "False"


def test_arguments_name_no_submission(run: Run) -> None:
    assert "answer.py" not in told(run(tried("result = sys.argv + sys.orig_argv")))


@needs_root
def test_answer_is_a_user_without_rights(run: Run) -> None:
    assert told(run(tried("result = (os.getuid(), os.geteuid(), os.getgroups())"))) == (
        f"({user_of(0)}, {user_of(0)}, [])"
    )
    assert told(run(tried("result = os.setuid(0)"))) == "PermissionError"


@needs_root
def test_no_network(run: Run) -> None:
    code = "s = socket.socket(type=socket.SOCK_DGRAM)\nresult = s.sendto(b'x', ('127.0.0.1', 9))"
    assert told(run(tried(code))) == "OSError"


def test_no_process_can_be_started(run: Run) -> None:
    assert told(run(tried("result = os.fork()"))) == "BlockingIOError"


def test_processes_left_behind_are_killed(tmp_path: Path) -> None:
    """Where starting some is allowed: the whole group goes with the answer."""
    tmp_path.chmod(0o777)
    leaves_one = """
import os, time
def merge_heads(x):
    if os.fork() == 0:
        while True:
            time.sleep(0.01)
    raise ValueError(f"told: {os.getpid()}")
"""
    with Runner(Limits(seconds=3, processes=4096)) as runner:
        leader = told(runner.run(Submission("a.py", "", (("", leaves_one),)), MERGE, seed=1))
        for _ in range(100):
            if not group_lives(int(leader)):
                break
            time.sleep(0.05)
        assert not group_lives(int(leader))


def group_lives(leader: int) -> bool:
    """Say whether any process of a group is left."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_description_says_what_holds() -> None:
    assert ("NOT held back" in describe()) == (not landlock.version())
