"""What an answer takes from this package while it runs: noted, and sent before it goes on.

Right answers lie beside every answer, in the modules of this package. Nothing here keeps an answer
from them; it says which were taken, by whatever road. Watched are calls of right answers, names
read off their modules, files of this package that are opened, an answer that is made of ours or
does the same step by step, and whoever looks into the interpreter.
"""

import gc
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, partial
from itertools import islice
from pathlib import Path
from types import CellType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import torch

PACKAGE = "cleanformer_lite"
GRADING = f"{PACKAGE}.checks.grading"
FOLDER = f"{Path(__file__).resolve().parents[2]}{os.sep}"
# What stands in these files acts for whoever called it.
LIBRARIES = (
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib")),
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("purelib", "platlib")),
    f"{Path(torch.__file__).parent}{os.sep}",
    "<frozen ",
)
INSTALLED = (FOLDER, *LIBRARIES)
# Where right answers stand, and pieces of them, beside the modules of the chapters.
BEHIND_CHECKS = ("engine.references", "engine.attention", "course", "mistakes")
NO_ANSWERS = ("checks", "cli", "commands", "timing", "viewers")
LONG_ENOUGH = 60  # instructions: shorter code is alike by chance
MOST_NOTES = 12
LONGEST_NOTE = 160
MOST_VISITED = 3000
LOOKS = ("gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._current_frames")
WATCHES = ("sys.setprofile", "sys.settrace", "sys.addaudithook")
FRAMES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame")

_names: dict[int, str] = {}  # of our functions, their code, and our classes, by identity
_ours: list[object] = []  # held, so that no identity is given to anything else
_alike: dict[bytes, str] = {}  # names of our functions, by their instructions
_send: list[Callable[[str], object]] = []
_noted: set[str] = set()
_listening: list[bool] = []
_GO = 0.5  # stands for what a call is passed on to, in code that is made once


def prepare() -> None:
    """Have every right answer of this package note its calls, and every module who reads it.

    Nothing is noted before `begin`. Done once, in the process from which all others are forked.
    """
    modules = {name: m for name, m in sys.modules.items() if _is_below(name, PACKAGE)}
    for value in gc.get_objects():
        if not issubclass(type(value), FunctionType | type):  # isinstance may run a value's code
            continue
        home = getattr(value, "__module__", None)
        if home in modules and not (isinstance(value, type) and issubclass(value, ModuleType)):
            holds_answers = _holds_answers(home)
            if holds_answers or _is_below(home, GRADING):
                _ours.append(value)
                _names[id(value)] = f"{home}.{value.__qualname__}"
            if holds_answers and isinstance(value, FunctionType) and not _is_handed_over(value):
                _divert(value, _names[id(value)])
    for module in modules.values():
        module.__class__ = _Module


def begin(send: Callable[[str], object]) -> None:
    """From now on, hand over a sentence for each thing that is taken."""
    _send.append(send)
    sys.addaudithook(_hear)  # for good: nothing takes it off again


def look_at(answer: object) -> None:
    """Note what an answer is made of, if that is ours, or does the same step by step."""
    for found in islice(_reachable(answer), MOST_VISITED):
        name = _names.get(id(found))
        if name is not None:
            _note(f"{'is' if found is answer else 'uses'} {name}")
        elif isinstance(found, FunctionType):
            for code in _codes(found.__code__):
                name = _names.get(id(code)) or _alike.get(code.co_code)
                if name is not None:
                    _note(f"has the code of {name}")


def _is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _holds_answers(module: str) -> bool:
    """Say whether right answers, or pieces of them, stand in a module of this package."""
    parts = module.split(".")
    if parts[1:2] == ["checks"]:
        return any(_is_below(module, f"{PACKAGE}.checks.{name}") for name in BEHIND_CHECKS)
    return len(parts) > 1 and parts[1] not in NO_ANSWERS


def _is_handed_over(function: FunctionType) -> bool:
    """Say whether this is how an argument behaves that an exercise calls an answer with."""
    return function.__name__.startswith("__") and function.__name__ != "__init__"


def _note(text: str) -> None:
    if _send and text not in _noted and len(_noted) < MOST_NOTES:
        _noted.add(text)
        with suppress(OSError):  # an answer may have closed everything
            _send[0](text[:LONGEST_NOTE])


def _is_answers(frame: FrameType | None, through_libraries: bool = True) -> bool:
    """Say whether an answer's own code asks: not this package, nor a library on its behalf."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(FOLDER):
            return False
        if not file.startswith(LIBRARIES):
            return True
        frame = frame.f_back if through_libraries else None
    return False


# ------------------------------------------------------------------------------------------ calls


def _divert(function: FunctionType, name: str) -> None:
    """Have a function note its calls, whoever holds it: its code is replaced, not its name."""
    code = function.__code__
    for inner in _codes(code):
        if sum(1 for step in inner.co_code[::2] if step) >= LONG_ENOUGH:
            _alike[inner.co_code] = name
    original = FunctionType(code, function.__globals__, name, None, function.__closure__)
    original.__defaults__, original.__kwdefaults__ = function.__defaults__, function.__kwdefaults__

    def go(*arguments: Any, **options: Any) -> Any:
        if _send and _is_answers(sys._getframe(2)):
            _note(f"runs {name}")
        return original(*arguments, **options)

    way = _way(len(code.co_freevars))
    function.__code__ = way.replace(
        co_consts=tuple(go if constant == _GO else constant for constant in way.co_consts),
        co_filename=code.co_filename,  # so that its source is still found
        co_firstlineno=code.co_firstlineno,
        co_name=code.co_name,
    )
    _names[id(function.__code__)] = name


@cache
def _way(closed_over: int) -> CodeType:
    """Return code that passes a call on; it has to be closed over as much as what it replaces."""
    names = ", ".join(f"held{number}" for number in range(closed_over))
    text = f"""
def outer({names}):
    def inner(*arguments, **options):
        {names}
        go = {_GO}
        return go(*arguments, **options)
    return inner
"""
    space: dict[str, Any] = {}
    exec(text, space)
    code: CodeType = space["outer"](*range(closed_over)).__code__
    return code


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield compiled code, and all code inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


# ---------------------------------------------------------------------------------------- reading


class _Module(ModuleType):
    """A module that notes which of its right answers are read off it."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if _send:
            home = super().__getattribute__("__name__")
            telling = name == "__dict__" or id(value) in _names
            telling = telling or (_is_below(home, GRADING) and not name.startswith("__"))
            if telling and _is_answers(sys._getframe(1)):
                _note(f"reads {_names.get(id(value), f'{home}.{name}')}")
        return value


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Take note of what the interpreter says is being done."""
    if _listening:
        return
    _listening.append(True)
    try:
        frame: FrameType | None = sys._getframe(1)
        for text, through_libraries in _heard(event, arguments):
            if _is_answers(frame, through_libraries):
                _note(text)
    finally:
        _listening.clear()


def _heard(event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, bool]]:
    """Yield what to note of an event if an answer caused it, perhaps by way of a library."""
    if event == "open" and isinstance(arguments[0], str | bytes):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if path.startswith(FOLDER):
            yield f"opens {PACKAGE}/{path.removeprefix(FOLDER)}", True
    elif event == "import" and _is_below(str(arguments[0]), PACKAGE):
        yield f"imports {arguments[0]}", True
    elif event == "pickle.find_class" and _is_below(str(arguments[0]), PACKAGE):
        yield f"unpickles {arguments[0]}.{arguments[1]}", True
    elif event == "object.__getattr__":
        if arguments[1] == "__code__" and id(arguments[0]) in _names:
            yield f"reads the code of {_names[id(arguments[0])]}", True
        elif arguments[1] in FRAMES:
            yield "looks into what called it", False
    elif event == "sys._getframe":
        yield "looks into what called it", False
    elif event in LOOKS:
        yield f"looks through the interpreter with {event}", True
    elif event in WATCHES:
        yield f"watches the interpreter with {event}", True
    elif event.startswith("ctypes."):
        yield "calls C through ctypes", True
    elif event in ("compile", "code.__new__") and str(arguments[1]).startswith(INSTALLED):
        yield "compiles code in the name of a library", False


# ------------------------------------------------------------------------------- what it is made of


def _reachable(answer: object) -> Iterator[object]:
    """Yield an answer, and what it holds or calls by name; modules are not looked into."""
    waiting, seen = [answer], set[int]()
    while waiting:
        value = waiting.pop(0)
        if id(value) not in seen:
            seen.add(id(value))
            yield value
            if id(value) not in _names:
                with suppress(Exception):  # an answer's objects may resist
                    waiting += _held_by(value)


def _held_by(value: Any) -> Iterable[object]:
    """Return what an object holds on to."""
    if isinstance(value, FunctionType):
        called = [
            value.__globals__.get(name) for c in _codes(value.__code__) for name in c.co_names
        ]
        closed = [_content_of(cell) for cell in value.__closure__ or ()]
        return [*called, *closed, *(value.__defaults__ or ()), *vars(value).values()]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set):
        return list(value)
    if isinstance(value, ModuleType | torch.Tensor | str | bytes | int | float | None):
        return []
    if isinstance(value, type):
        its_own = [vars(kind) for kind in value.__mro__ if kind.__module__ == "__main__"]
        return [*value.__mro__, *(held for space in its_own for held in space.values())]
    return [type(value), *getattr(value, "__dict__", {}).values()]


def _content_of(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None
