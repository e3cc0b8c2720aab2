"""Write a file in one step: whoever stops half-way leaves the old one as it was."""

import os
import tempfile
from pathlib import Path


def write_file(path: str | Path, content: str | bytes) -> Path:
    """Write a file whole, or not at all; return where it is. Text is written as UTF-8.

    Raises: OSError if it cannot be written; what stood there before is left as it was.
    """
    target = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(beside, _mode(target))
        os.replace(beside, target)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return target


def _mode(target: Path) -> int:
    """Return the permissions that a file has, or would get if `open` made it."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
