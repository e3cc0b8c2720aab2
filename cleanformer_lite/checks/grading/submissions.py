"""Find the notebooks and `.py` files that learners hand in, and read their bytes.

A process without rights parses them, because a parser can be made to crash.
"""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LARGEST = 32 * 1024 * 1024
SUFFIXES = (".ipynb", ".py")
SKIPPED_FOLDERS = {"__pycache__", "__MACOSX", "node_modules"}
CLUTTER = {".DS_Store", "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Submission:
    """One file that was handed in: its name, and its bytes.

    If the file cannot be used there are none, and `trouble` is a status (unreadable, refused) with
    a reason.
    """

    name: str
    content: bytes = field(default=b"", repr=False)
    trouble: tuple[str, str] | None = None

    @property
    def is_notebook(self) -> bool:
        return self.name.lower().endswith(".ipynb")

    @property
    def digest(self) -> str:
        """A fingerprint of the content."""
        return hashlib.sha256(bytes([self.is_notebook]) + self.content).hexdigest()


@dataclass(frozen=True)
class Found:
    """The content of a folder: files to grade, and other files with the reason against each."""

    files: list[Path]
    skipped: list[tuple[str, str]]


def find(folder: Path, *, leave_out: Path | None = None, may_be_empty: bool = False) -> Found:
    """Look for every notebook and `.py` file under a folder, in order of their names.

    Hidden folders, caches and `leave_out` are passed over; anything else that is not graded is
    named. Links are not followed.

    Raises: FileNotFoundError or NotADirectoryError if the folder is not there, ValueError if there
        is nothing in it to grade, and it may not be empty.
    """
    if not folder.exists():
        raise FileNotFoundError(f"wanted a folder of submissions, but {folder} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"wanted a folder of submissions, but {folder} is a file")
    out = None if leave_out is None else os.path.realpath(leave_out)
    files: list[Path] = []
    skipped: list[tuple[str, str]] = []
    for path in sorted(_walk(folder, out, skipped)):
        if path.suffix.lower() in SUFFIXES:
            files.append(path)
        elif path.name not in CLUTTER and not path.name.startswith("."):
            skipped.append((one_line(path.relative_to(folder)), _why_not(path)))
    if not files and not may_be_empty:
        named = "".join(f"; {name}: {why}" for name, why in skipped[:3])
        raise ValueError(f"wanted notebooks or .py files, but {folder} holds none{named}")
    return Found(files, sorted(skipped))


def _walk(folder: Path, out: str | None, skipped: list[tuple[str, str]]) -> Iterator[Path]:
    """Yield every file and every link; note a folder that cannot be read."""

    def note(error: OSError) -> None:
        skipped.append((one_line(os.path.relpath(error.filename, folder)), "cannot be read"))

    for place, folders, names in os.walk(folder, onerror=note):
        here = Path(place)
        # A link may bear a notebook's name: it is handed in, and refused when it is read.
        names += [name for name in folders if (here / name).is_symlink()]
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in SKIPPED_FOLDERS
            and (out is None or os.path.realpath(here / name) != out)
        ]
        yield from (here / name for name in names)


def _why_not(path: Path) -> str:
    """Say why a file is not graded."""
    suffix = path.suffix.lower()
    if suffix in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"):
        return "an archive: unpack it"
    return f"neither a notebook nor a .py file: {suffix or 'no ending'}"


def load(path: Path, name: str | None = None) -> Submission:
    """Read one file; any problem with it becomes its `trouble`, never an exception."""
    name = one_line(path.name if name is None else name)
    try:
        return Submission(name, _content(path))
    except PermissionError as error:
        return Submission(name, trouble=("refused", printable(error)))
    except OSError as error:
        return Submission(name, trouble=("unreadable", printable(error)))


def _content(path: Path) -> bytes:
    """Return the bytes of a regular file, if it is not too large.

    Raises: PermissionError for what is refused (a link, a pipe, a device, a huge file), OSError for
        what cannot be read.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise PermissionError("wanted a regular file, got a link, a pipe or a device")
    if status.st_size > LARGEST:
        raise PermissionError(f"wanted a file of at most {LARGEST} bytes, got {status.st_size}")
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except PermissionError as error:
        raise OSError(f"may not be read: {error}") from error


def printable(text: object) -> str:
    """Escape text so that it can be shown anywhere, because strangers choose names and errors.

    Control characters (a new line apart) and half characters become escapes: they could hide a row
    of a table, or give orders to a terminal.
    """
    return "".join(map(_shown, str(text)))


def one_line(text: object) -> str:
    """Write text on one line, to stand in a table or a list."""
    return printable(text).replace("\n", "\\n")


def _shown(character: str) -> str:
    if character in "\n\t":
        return character if character == "\n" else " "
    # Control characters, marks that turn the direction of writing, half of a pair, line separators.
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode()
    return character
