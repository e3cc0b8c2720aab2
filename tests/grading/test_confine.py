"""What an answer cannot reach, tried by answers, with each layer that this machine has."""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cleanformer_lite.checks.grading import confine, landlock, seccomp
from cleanformer_lite.checks.grading.confine import user_of
from cleanformer_lite.checks.grading.limits import Limits
from cleanformer_lite.checks.grading.result import Observed
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.sandbox import Sandbox, choose, require
from cleanformer_lite.checks.observations import texts
from tests.grading.handed_in import RIGHT
from tests.grading.running import observed

Run = Callable[[str], Observed]
needs_root = pytest.mark.skipif(user_of(0) is None, reason="only root can become another user")


def tried(code: str) -> str:
    """Return an answer that tries some code and tells, in an error's text, what came of it."""
    body = "\n".join(f"        {line}" for line in code.splitlines())
    return f"""
import ctypes, os, resource, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def merge_heads(x):
    try:
{body}
    except Exception as error:
        result = type(error).__name__
    raise ValueError(f"told: {{result}}")
"""


def told(seen: Observed) -> str:
    """Return what an answer told."""
    errors = [text for text in texts(seen.observations) if "told:" in text]
    assert errors, (seen.status, seen.message)
    return errors[0].split("told: ")[1]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read and write, as no folder of pytest's own is."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o777)
        yield Path(name)


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
    assert outcome in ("PermissionError", "FileNotFoundError")
    assert other.read_text() == RIGHT
    assert os.listdir(open_folder) == ["other.py"]


def test_copying_another_submission_scores_nothing(run: Run, open_folder: Path) -> None:
    other = open_folder / "other.py"
    other.write_text(RIGHT)
    copies = f"""
def merge_heads(x):
    found = {{}}
    exec(open({str(other)!r}).read(), found)
    return found["merge_heads"](x)
"""
    errors = list(texts(run(copies).observations))
    assert any("PermissionError" in text or "FileNotFoundError" in text for text in errors)


def test_answer_starts_in_an_empty_folder_that_it_may_write_in(run: Run) -> None:
    code = "open('mine', 'w').close()\nresult = os.listdir('.')"
    assert told(run(tried(code))) == "['mine']"


def test_folder_is_gone_afterwards(layered: Runner, run: Run) -> None:
    folder = told(run(tried("open('mine', 'w').close()\nresult = os.getcwd()")))
    assert folder.startswith(layered.folder)
    # Within bubblewrap it was never on our disk. What torch puts beside it goes with the runner.
    left = [] if layered.sandbox.bubblewrap else os.listdir(layered.folder)
    assert [name for name in left if name.startswith("answer-")] == []


def test_no_variable_of_ours_is_seen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    with Runner(Limits(seconds=3)) as fresh:
        text = tried("result = 'SOME_TOKEN' in os.environ")
        seen = observed(fresh, text)
    assert told(seen) == "False"


def test_arguments_name_no_submission(run: Run) -> None:
    assert "answer.py" not in told(run(tried("result = sys.argv + sys.orig_argv")))


@needs_root
def test_answer_is_a_user_without_rights(run: Run) -> None:
    assert told(run(tried("result = (os.getuid(), os.geteuid(), os.getgroups())"))) == (
        f"({user_of(0)}, {user_of(0)}, [])"
    )
    assert told(run(tried("result = os.setuid(0)"))) == "PermissionError"


def test_no_process_can_be_started(run: Run) -> None:
    assert told(run(tried("result = os.fork()"))) == "BlockingIOError"


# Each way out that was once open, by kind. What is left of it is an error: the call is not allowed.
ESCAPES = {
    "datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "tcp": "socket.socket(socket.AF_INET).connect(('127.0.0.1', 9))",
    "vsock": "socket.socket(40, socket.SOCK_STREAM)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "other's limits": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (4, 4))",
    "other's processors": "os.sched_setaffinity(os.getppid(), {0})",
    "other's priority": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "own priority": "os.setpriority(os.PRIO_PROCESS, 0, 19)",
    "signal to the keeper": "os.kill(os.getppid(), 0)",
    "signal to a group": "os.killpg(os.getpgid(os.getppid()), 0)",
    "signal by pidfd": "signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0)",
    "outliving the keeper": "checked(libc.prctl(1, 0, 0, 0, 0))",
    "modes": "os.chmod('.', 0o777)",
    "modes of what is open": "os.fchmod(os.open('.', os.O_RDONLY), 0o777)",
    "dates": "os.utime('.', (0, 0))",
    "attributes": "os.setxattr('.', 'user.x', b'x')",
    "System V shared memory": "checked(libc.shmget(0x5eed, 4096, 0o1666))",
    "System V semaphores": "checked(libc.semget(0x5eed, 1, 0o1666))",
    "System V queues": "checked(libc.msgget(0x5eed, 0o1666))",
    "message queues": "checked(libc.syscall(CALLS['mq_open'], b'seed', 0o100, 0o666, None))",
    "memory that no limit counts": "os.memfd_create('x')",
    "secret memory": "checked(libc.syscall(CALLS['memfd_secret'], 0))",
    "keyrings": "checked(libc.syscall(CALLS['keyctl'], 0, -3, 1))",
    "a key": "checked(libc.syscall(CALLS['add_key'], b'user', b'x', b'y', 1, -4))",
    "namespaces": "checked(libc.unshare(0x10000000))",
    "others' namespaces": "checked(libc.setns(os.open('/proc/self/ns/net', os.O_RDONLY), 0))",
    "mounts": "checked(libc.mount(b'x', b'.', b'tmpfs', 0, None))",
    "io_uring": "checked(libc.syscall(CALLS['io_uring_setup'], 8, bytes(120)))",
    "userfaultfd": "checked(libc.syscall(CALLS['userfaultfd'], 1))",
    "tracing": "checked(libc.ptrace(16, os.getppid(), 0, 0))",
    "other's memory": "checked(libc.process_vm_readv(os.getppid(), None, 0, None, 0, 0))",
    "performance counters": "checked(libc.syscall(CALLS['perf_event_open'], bytes(128), 0, -1))",
    "programs in the kernel": "checked(libc.syscall(CALLS['bpf'], 0, bytes(128), 128))",
    "another program": "os.execv('/usr/bin/true', ['true'])",
}
CALLS = {
    "x86_64": (
        {"mq_open": 240, "memfd_secret": 447, "keyctl": 250, "add_key": 248, "bpf": 321}
        | {"io_uring_setup": 425, "userfaultfd": 323, "perf_event_open": 298}
    ),
    "aarch64": (
        {"mq_open": 180, "memfd_secret": 447, "keyctl": 219, "add_key": 217, "bpf": 280}
        | {"io_uring_setup": 425, "userfaultfd": 282, "perf_event_open": 241}
    ),
}


@pytest.mark.parametrize("way", ESCAPES)
def test_a_way_out_is_closed(run: Run, way: str) -> None:
    numbers = CALLS[os.uname().machine]
    setup = f"""
CALLS = {numbers}
def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
"""
    text = tried(f"result = ('open', {ESCAPES[way]})") + setup
    assert told(run(text)) in ("PermissionError", "FileNotFoundError", "ProcessLookupError")


def test_a_socket_in_the_file_system_cannot_be_reached(run: Run, open_folder: Path) -> None:
    """Such as that of an agent that runs what it is asked to."""
    path = str(open_folder / "agent")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        os.chmod(path, 0o777)
        agent.listen()
        code = f"s = socket.socket(socket.AF_UNIX)\ns.connect({path!r})\nresult = 'connected'"
        assert told(run(tried(code))) == "PermissionError"


def test_a_hundred_thousand_folders_are_not_removed_one_by_one(layered: Runner, run: Run) -> None:
    """There is room for few, and they go at once with the file system that they stand in."""
    makes_many = tried("""
for i in range(100_000):
    os.mkdir(str(i))
result = "made"
""")
    code = makes_many.replace("told: {result}", "told: {result}, {len(os.listdir())}")
    outcome, _, number = told(run(code)).partition(", ")
    mounted = layered.sandbox.bubblewrap or layered.sandbox.users
    if mounted:
        assert outcome == "OSError"
        assert 1000 < int(number) <= confine.FOLDER_ENTRIES
    assert run(RIGHT).status == "observed"
    if not layered.sandbox.bubblewrap:
        assert [name for name in os.listdir(layered.folder) if name.startswith("answer-")] == []


@needs_root
def test_an_answers_folder_is_small(run: Run) -> None:
    fills = """
import os
def merge_heads(x):
    for i in range(100):
        with open(f"{i}-{x.numel()}", "wb") as file:
            file.write(bytes(15 * 2**20))
"""
    assert any("No space left" in text for text in texts(run(fills).observations))


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
    with Runner(Limits(seconds=3, processes=4096), isolation="kernel") as runner:
        leader = told(observed(runner, leaves_one))
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


def test_bubblewrap_shows_none_of_our_processes_and_files(tmp_path: Path) -> None:
    """The keeper, too, sees nothing of ours: it is the parent of what may go wrong."""
    if not choose().bubblewrap:
        return  # said at the end of the test run
    with Runner(Limits(seconds=3), isolation="bubblewrap") as runner:
        assert observed(runner, RIGHT).status == "observed"
        (keeper,) = [
            path
            for path in Path("/proc").glob("[0-9]*")
            if runner.folder in _command(path) and _has_no_child(path) and path.name != "self"
        ][-1:]
        for kind in ("mnt", "pid", "net", "ipc", "uts"):
            assert os.readlink(keeper / "ns" / kind) != os.readlink(f"/proc/self/ns/{kind}")
        assert not (keeper / "root" / tmp_path.relative_to("/")).exists()


def _command(path: Path) -> str:
    try:
        return (path / "cmdline").read_text()
    except OSError:
        return ""


def _has_no_child(path: Path) -> bool:
    return not (path / "task" / path.name / "children").read_text().strip()


@pytest.mark.parametrize("machine", list(seccomp.ARCHITECTURES))
def test_every_jump_of_the_filter_lands_within_it(machine: str) -> None:
    steps = seccomp.program(machine, 1, 0)
    jumps = (seccomp.JUMP_IF_EQUAL, seccomp.JUMP_IF_ABOVE)
    for place, (operation, yes, no, _) in enumerate(steps):
        if operation in jumps:
            assert max(yes, no) < 256
            assert place + 1 + max(yes, no) < len(steps)
    assert steps[-1][0] == seccomp.RETURN


def test_numbers_of_calls_are_the_systems_own() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if os.uname().machine != "x86_64" or not header.exists():
        return
    words = [line.split() for line in header.read_text().splitlines() if "__NR_" in line]
    known = {w[1].removeprefix("__NR_"): int(w[2]) for w in words if len(w) == 3 and w[2].isdigit()}
    ours = {name: int(n) for name, n, *_ in (e.split(":") for e in seccomp.ALLOWED.split())}
    assert {name: known[name] for name in ours} == ours
    assert all(known[name] == n for name, n in seccomp.NUMBERS["x86_64"].items())


def test_where_too_little_is_available_grading_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    with pytest.raises(ValueError, match="apt install bubblewrap"):
        require("kernel")
    assert not require("none").enough
    monkeypatch.setattr(landlock, "version", lambda: 3)
    monkeypatch.setattr(seccomp, "available", lambda: False)
    with pytest.raises(ValueError, match="NO seccomp"):
        require("kernel")


def test_what_stays_open_is_told() -> None:
    least = Sandbox(bubblewrap=False, landlock=0, seccomp=False, users=False)
    most = Sandbox(bubblewrap=True, landlock=7, seccomp=True, users=True)
    assert set(most.open_ways()) < set(least.open_ways())
    assert any("Files are NOT held back" in way for way in least.open_ways())
    assert any("open sockets" in way for way in least.open_ways())


def test_a_warm_process_serves_from_any_thread(layered: Runner) -> None:
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(observed(layered, RIGHT).status))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["observed"] * 3
