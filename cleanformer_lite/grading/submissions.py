"""Read what learners hand in, a notebook or a `.py` file, as pieces of text.

The text is not parsed here: that is left to the process of the answer, for a parser can be made to
crash.
"""

import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path

LARGEST = 32 * 1024 * 1024
SUFFIXES = (".ipynb", ".py")
SKIPPED_FOLDERS = {"__pycache__", "node_modules"}


@dataclass(frozen=True)
class Submission:
    """One file that was handed in: its name, a fingerprint of its content, and its code.

    `cells` are pairs of a place ("cell 3", or "" in a `.py` file) and its text. If the file cannot
    be used there are none, and `trouble` is a status (unreadable, refused) with a reason.
    """

    name: str
    digest: str
    cells: tuple[tuple[str, str], ...] = ()
    trouble: tuple[str, str] | None = None

    def mentions(self, name: str) -> bool:
        """Say whether a name occurs in the code: where it does not, nothing is answered."""
        return any(name in text for _, text in self.cells)


def find(folder: Path, *, leave_out: Path | None = None) -> list[Path]:
    """Return every notebook and `.py` file under a folder, in order of their names.

    Hidden folders, caches and `leave_out` are passed over.

    Raises: FileNotFoundError or NotADirectoryError if the folder is not there, ValueError if there
        is nothing in it to grade.
    """
    if not folder.exists():
        raise FileNotFoundError(f"wanted a folder of submissions, but {folder} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"wanted a folder of submissions, but {folder} is a file")
    found = []
    for path in sorted(folder.rglob("*")):
        parents = path.relative_to(folder).parts[:-1]
        passed_over = any(part.startswith(".") or part in SKIPPED_FOLDERS for part in parents)
        ours = leave_out is not None and path.resolve().is_relative_to(leave_out.resolve())
        # A folder may bear the name of a notebook; a link or a pipe is handed in all the same.
        a_file = path.is_symlink() or not path.is_dir()
        if path.suffix in SUFFIXES and a_file and not passed_over and not ours:
            found.append(path)
    if not found:
        raise ValueError(f"wanted notebooks or .py files, but {folder} holds none")
    return found


def load(path: Path, name: str | None = None) -> Submission:
    """Read one file. Whatever is wrong with it becomes its `trouble`, never an exception."""
    name = path.name if name is None else name
    name = name.encode("utf-8", "backslashreplace").decode()
    try:
        data = content(path)
    except PermissionError as error:
        return Submission(name, "", trouble=("refused", str(error)))
    except OSError as error:
        return Submission(name, "", trouble=("unreadable", str(error)))
    digest = hashlib.sha256(path.suffix.encode() + b"\0" + data).hexdigest()
    try:
        text = data.decode("utf-8-sig")
        cells = notebook_cells(text) if path.suffix == ".ipynb" else (("", text),)
    except UnicodeDecodeError as error:
        return Submission(name, digest, trouble=("unreadable", f"not UTF-8: {error}"))
    except (ValueError, RecursionError) as error:
        return Submission(name, digest, trouble=("unreadable", f"not a notebook: {error}"))
    return Submission(name, digest, cells)


def content(path: Path) -> bytes:
    """Return the bytes of a regular file of bearable size.

    Raises: PermissionError for what is refused (a link, a pipe, a device, a huge file), OSError for
        what cannot be read.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise PermissionError("wanted a regular file, got a link, a pipe or a device")
    if status.st_size > LARGEST:
        raise PermissionError(f"wanted a file of at most {LARGEST} bytes, got {status.st_size}")
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise OSError(f"may not be read: {error}") from error


def notebook_cells(text: str) -> tuple[tuple[str, str], ...]:
    """Return the code cells of a notebook, numbered as a reader counts them, code or not.

    Raises: ValueError if the text is not the JSON of a notebook.
    """
    notebook = json.loads(text)
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("wanted JSON with a list of cells")
    cells = []
    for number, cell in enumerate(notebook["cells"], start=1):
        if not isinstance(cell, dict):
            raise ValueError(f"wanted cell {number} to be an object, got {type(cell).__name__}")
        if cell.get("cell_type") == "code":
            cells.append((f"cell {number}", source_of(cell, number)))
    return tuple(cells)


def source_of(cell: dict[str, object], number: int) -> str:
    """Return a cell's text, which a notebook holds as one string or as a list of lines."""
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    if not isinstance(source, str):
        raise ValueError(f"wanted text in cell {number}, got {type(source).__name__}")
    return source
