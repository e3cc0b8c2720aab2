"""Remove a folder that somebody hostile has filled."""

import itertools
import os
import secrets
from contextlib import suppress


def remove(folder: str | os.PathLike[str]) -> None:
    """Remove a folder however deep it goes, and follow no link; what resists stays.

    Not shutil.rmtree: that calls itself for each level, and a thousand levels end the caller. Here
    folders within folders move up until there are none.
    """
    name, numbers = secrets.token_hex(8), itertools.count()
    with suppress(OSError):
        while inner := emptied(os.fspath(folder)):
            for path in inner:
                for deeper in emptied(path):
                    os.rename(deeper, os.path.join(folder, f"{name}-{next(numbers)}"))
                os.rmdir(path)
        os.rmdir(folder)


def emptied(folder: str) -> list[str]:
    """Remove all files and links of a folder; returns the folders in it, opened up for removal."""
    found = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)
                found.append(entry.path)
            else:
                os.unlink(entry.path)
    return found
