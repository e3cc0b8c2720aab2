"""Multi-head attention, one idea a file: the package that every chapter of the book imports.

What it offers is listed in `cleanformer_lite.public`, and loaded at first use: the command line
must not wait for torch to print its help.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cleanformer_lite.public import *  # noqa: F403

__version__ = "0.1.0"


class Package(ModuleType):
    """This module, which looks its public names up when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        hidden = name.startswith("_") and name != "__all__"
        public = None if hidden else importlib.import_module("cleanformer_lite.public")
        if public is None or name not in (*public.__all__, "__all__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(public, name)

    def __setattr__(self, name: str, value: object) -> None:
        # `split_heads` is a function, and the module that defines it: the function is meant.
        if not (isinstance(value, ModuleType) and name in vars(value)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__all__})


sys.modules[__name__].__class__ = Package
