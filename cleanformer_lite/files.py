"""Write a file in one step: whoever stops half-way leaves the old one as it was."""

import os
import tempfile
from pathlib import Path


def write_file(path: str | Path, content: str | bytes) -> Path:
    """Write a file whole, or not at all; return where it is. Text is written as UTF-8.

    Raises: OSError, naming the file, if it cannot be written; what stood there before is left as it
        was.
    """
    target = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        _write_beside(target, data)
    except OSError as error:  # it names the file beside, or none
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error
    return target


def _write_beside(target: Path, data: bytes) -> None:
    """Write a file beside, and put it in its place once it is whole."""
    handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(beside, _mode(target))
        os.replace(beside, target)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """Return the permissions that a file has, or would get if `open` made it."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
