"""Keep an answer from changing the session that tries it, flooding it or ending it."""

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TextIO

import torch
from torch.overrides import _get_current_function_mode_stack

LONGEST_TEXT = 500
MOST_OUTPUT = 20_000  # characters that an answer may print in one check


class TimeLimitReached(BaseException):
    """Raised inside an answer that takes too long; `except Exception` does not catch it."""


def error_text(error: BaseException) -> str:
    """Write an error as its kind and its message, whatever its own `str` does."""
    kind = type(error).__name__
    try:
        message = str(error)
    except BaseException as second:  # an answer may define this error itself
        if isinstance(second, KeyboardInterrupt | TimeLimitReached):
            raise
        message = "(its message cannot be read)"
    return (f"{kind}: {message}" if message else kind)[:LONGEST_TEXT]


class Capped:
    """A stream that passes on `MOST_OUTPUT` characters, then says once that it cut the rest."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.left = MOST_OUTPUT

    def write(self, text: str) -> int:
        if self.left > 0:
            self.stream.write(text[: self.left])
            self.left -= len(text)
            if self.left <= 0:
                self.stream.write(f"\n(the answer printed more than {MOST_OUTPUT} characters)\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def kept(seed: int) -> Iterator[None]:
    """Set what a check needs for the body, and put the session's own settings back after it.

    A check needs one thread (with two on a busy machine small tensors take thirty times as long),
    float32 on the CPU, gradients, no autocast, and random numbers that follow from the seed.
    """
    with ExitStack() as undo:
        for give_back in (_python, _numpy, torch_kept, _streams):
            undo.enter_context(give_back())
        undo.enter_context(seeded(seed))
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator for the body, and put its state back."""
    # Not torch.manual_seed: it would reseed a GPU of the session too, and not put that back.
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)


@contextmanager
def torch_kept() -> Iterator[None]:
    """Set what a check needs of torch for one call, and undo what the call changed."""
    with _torch_settings(), _torch_modes():
        yield


@contextmanager
def _python() -> Iterator[None]:
    """Keep random numbers, recursion limit, working folder and warnings."""
    state, limit, filters = random.getstate(), sys.getrecursionlimit(), list(warnings.filters)
    folder = None
    with suppress(OSError):
        folder = os.getcwd()
    try:
        yield
    finally:
        random.setstate(state)
        sys.setrecursionlimit(limit)
        if warnings.filters != filters:
            warnings.filters[:] = filters  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]
        if folder is not None:
            with suppress(OSError):
                os.chdir(folder)


@contextmanager
def _numpy() -> Iterator[None]:
    """Keep numpy's random numbers, if numpy is there."""
    numpy = sys.modules.get("numpy")
    state = numpy.random.get_state() if numpy else None
    try:
        yield
    finally:
        if numpy:
            numpy.random.set_state(state)


Setting = tuple[Callable[[], Any], Callable[[Any], Any], Any]


def _settings() -> list[Setting]:
    """List for each setting of torch how to read it, how to set it, and what a check needs."""
    return [
        (torch.get_num_threads, torch.set_num_threads, 1),
        (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        (torch.is_anomaly_enabled, torch.set_anomaly_enabled, False),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
        (
            torch.get_deterministic_debug_mode,
            torch.set_deterministic_debug_mode,
            0,
        ),
        (_print_options, lambda options: torch.set_printoptions(**options), None),
    ]


def _print_options() -> dict[str, Any]:
    options = torch._tensor_str.PRINT_OPTS
    names = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")
    return {name: getattr(options, name) for name in names}


@contextmanager
def _torch_settings() -> Iterator[None]:
    """Set what a check needs, and put the old values back; values that are right are left alone."""
    before = [(read, write, read()) for read, write, _ in _settings()]
    for read, write, wanted in _settings():
        if wanted is not None and read() != wanted:
            write(wanted)
    try:
        yield
    finally:
        for read, write, value in before:
            now = read()
            same = torch.equal(now, value) if isinstance(now, torch.Tensor) else now == value
            if not same:
                write(value)


@contextmanager
def _torch_modes() -> Iterator[None]:
    """Leave autocast, inference mode and a default device, and put them back.

    Modes that an answer entered and never left are taken off again.
    """
    device = _default_device()
    depth = len(_get_current_function_mode_stack())
    with ExitStack() as modes:
        if device.type != "cpu":
            modes.callback(torch.set_default_device, device)
            torch.set_default_device(None)
            depth = len(_get_current_function_mode_stack())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        try:
            yield
        finally:
            if _default_device().type != "cpu":
                torch.set_default_device(None)
            while len(_get_current_function_mode_stack()) > depth:
                torch._C._pop_torch_function_stack()


def _default_device() -> torch.device:
    """Return the default device. `get_default_device` of torch 2.6 raises once None was set."""
    return torch.empty(0).device


@contextmanager
def _streams() -> Iterator[None]:
    """Cap what an answer prints, and put the session's streams back if it replaced them."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Capped(out), Capped(err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
