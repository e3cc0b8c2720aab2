"""Machines that offer less than this one: where it is too little, grading is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cleanformer_lite
from cleanformer_lite.checks.grading import landlock, sandbox, seccomp
from tests.grading.handed_in import RIGHT

# Makes this process one of a machine without bubblewrap and without Landlock, for good.
LESS = """
import errno, os, sys
from pathlib import Path
from cleanformer_lite.checks.grading import landlock, sandbox, seccomp
from cleanformer_lite.cli import main
folder, out = sys.argv[1:]
os.environ["PATH"] = ""
print(sandbox.require("auto"))
seccomp.install([
    (seccomp.LOAD, 0, 0, seccomp.NUMBER),
    (seccomp.JUMP_IF_EQUAL, 0, 1, landlock.CREATE_RULESET),
    (seccomp.RETURN, 0, 0, seccomp.REFUSE | errno.ENOSYS),
    (seccomp.RETURN, 0, 0, seccomp.ALLOW),
])
command = ["grade", folder, "--out", out, "--only", "split_heads.merge", "--quiet"]
for isolation in ("auto", "kernel", "bubblewrap"):
    print(main([*command, "--isolation", isolation]), Path(out).exists())
main(["isolation"])
print(main([*command, "--isolation", "none"]))
"""
needs_both = pytest.mark.skipif(
    not (landlock.version() and seccomp.available()), reason="needs what it takes away"
)


@needs_both
def test_without_bubblewrap_and_landlock_grading_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.py").write_text(RIGHT)
    environment = {**os.environ, "PYTHONPATH": str(Path(cleanformer_lite.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", LESS, tmp_path / "in", tmp_path / "out"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    first, *refused = done.stdout.splitlines()[:4]
    # With Landlock and without bubblewrap it grades, as before.
    assert first.endswith(f"NO bubblewrap, Landlock {landlock.version()}, seccomp")
    assert refused == ["2 False"] * 3
    assert done.stderr.count("Bubblewrap does not run here: not installed.") == 2
    assert done.stderr.count("apt install bubblewrap") == 2
    assert "wanted bubblewrap, but it does not run here: not installed" in done.stderr
    assert "NO bubblewrap, NO Landlock (files), seccomp: NOT enough" in done.stdout
    assert "Files are NOT held back" in done.stdout
    assert "1 passed" in done.stdout
    assert done.stdout.endswith("\n0\n")


def test_where_user_namespaces_are_refused_bubblewrap_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as in many a container: it is installed, and does not run."""
    words = "bwrap: No permissions to create new namespace"
    (tmp_path / "bwrap").write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(landlock, "version", lambda: 0)
    sandbox._bubblewrap_trouble.cache_clear()
    try:
        assert not sandbox.choose().bubblewrap
        assert f"bubblewrap does not run here: {words}" in sandbox.describe()
        for isolation in ("auto", "bubblewrap"):
            with pytest.raises(ValueError, match=words):
                sandbox.require(isolation)
        assert not sandbox.require("none").enough
    finally:
        sandbox._bubblewrap_trouble.cache_clear()


@pytest.mark.skipif(not seccomp.available(), reason="needs seccomp")
def test_signals_are_closed_where_landlock_is_too_old_to_close_them() -> None:
    """The filter alone holds them back, from the process above and from every other."""
    reached, told = os.pipe()
    child = os.fork()
    if child == 0:
        seccomp.restrict()
        above = os.getppid()
        for send, whom in ((os.kill, above), (os.killpg, os.getpgid(above)), (os.kill, -1)):
            try:
                send(whom, 0)
                os.write(told, b"open ")
            except PermissionError:
                os.write(told, b"closed ")
        os._exit(0)
    os.close(told)
    os.waitpid(child, 0)
    assert os.read(reached, 100) == b"closed closed closed "
    os.close(reached)
