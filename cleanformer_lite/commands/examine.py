"""The command `examine`: find every attention in a module, and name its bugs."""

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cleanformer_lite.commands import Commands

KEY_VALUE = ("key", "value")

ABOUT = """\
Build a module (or take a model that a function makes), find every attention in it, and ask each:
are its weights registered, is dropout off in eval(), do samples and tokens stay apart, do masks
hide what they are to hide, is the scale 1 / sqrt(D), does the softmax run over keys?

Exit code: 0 nothing found, 1 a bug, 2 it could not be examined.
"""
EXAMPLES = """\
examples:
  cleanformer-lite examine mypackage.model:MultiHeadAttention --embed-dim 32 --num-heads 4
  cleanformer-lite examine mypackage.model:make_model --example mypackage.model:make_call
  cleanformer-lite examine mypackage.model:MyAttention --expect causal,mask=keep

A call that --example makes is a tensor, a tuple of arguments, or a dict of named ones.
"""


def add_to(commands: Commands) -> None:
    """Describe the arguments."""
    parser = commands.add_parser(
        "examine",
        help="name the bug in any attention module",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", metavar="PKG.MOD:NAME", help="a class, or a function that builds")
    parser.add_argument("--embed-dim", type=int, default=32, help="E (default: 32)")
    parser.add_argument("--num-heads", type=int, default=4, help="H (default: 4)")
    parser.add_argument("--example", metavar="PKG.MOD:NAME", help="a function that makes the call")
    parser.add_argument(
        "--expect", default="", help="what you mean: causal, mask=keep, scaled, ..."
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--html", metavar="FILE", help="write one HTML file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine, print, and return the exit code.

    Raises: ValueError for a name that cannot be found or a module that cannot be built.
    """
    from torch import nn

    from cleanformer_lite.checks.examination import Expect, examine
    from cleanformer_lite.checks.examination.page import as_file
    from cleanformer_lite.files import write_file

    expect = Expect.parse(arguments.expect)
    target = _find(arguments.target)
    model = target if isinstance(target, nn.Module) else _build(target, arguments)
    args, kwargs = _call(arguments, model)
    report = examine(model, *args, expect=expect, **kwargs)
    if arguments.json:
        print(report.as_json())
    elif arguments.html:
        print(write_file(Path(arguments.html), as_file(report)))
    else:
        print(report)
    if not arguments.example and any(f.what == "the call raises" for f in report.findings):
        return 2  # the call was ours: two samples of six tokens
    if report.findings:
        return 1
    return 0 if report.modules else 2


def _find(name: str) -> Any:
    """Import the object `pkg.mod:name`; modules in the working folder are found too.

    Raises: ValueError, saying which part was not found.
    """
    module, colon, attribute = name.partition(":")
    if not colon or not attribute:
        raise ValueError(f"expected PKG.MOD:NAME, got {name!r}")
    if "/" in module or module.endswith(".py"):
        path = module.removesuffix(".py").strip("./").replace("/", ".")
        raise ValueError(f"expected PKG.MOD:NAME, got a path: write {path}:{attribute}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        raise ValueError(f"cannot import {module}: {type(error).__name__}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{module} has no {attribute!r}")
        found = getattr(found, part)
    return found


def _build(target: Callable[..., Any], arguments: argparse.Namespace) -> Any:
    """Build a module, with E and H if it takes them, or else without arguments.

    Raises: ValueError, with what each way said, if none gives a module.
    """
    from torch import nn

    if not callable(target):
        kind = type(target).__name__
        raise ValueError(f"expected a class or a function that builds a module, got {kind}")
    embed_dim, num_heads = arguments.embed_dim, arguments.num_heads
    ways: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((embed_dim, num_heads), {}),
        ((), {"dim": embed_dim, "num_heads": num_heads}),
        ((), {"dim": embed_dim, "heads": num_heads}),
        ((), {"d_model": embed_dim, "num_heads": num_heads}),
        ((num_heads, embed_dim), {}),
        ((), {}),
    ]
    if arguments.example:
        ways.insert(0, ((), {}))
    refused = []
    for args, kwargs in ways:
        try:
            built = target(*args, **kwargs)
        except Exception as error:
            refused.append(f"{type(error).__name__}: {error}")
            continue
        if isinstance(built, nn.Module):
            return built
        refused.append(f"it gave {type(built).__name__}, expected a torch.nn.Module")
    why = next((reason for reason in refused if reason.startswith("it gave")), refused[0])
    raise ValueError(
        f"cannot build it from E and H ({why}): name a function that takes nothing and "
        "returns the module"
    )


def _call(arguments: argparse.Namespace, model: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Make the example's call, or one of two samples of six tokens, as key and value if due."""
    import torch

    if not arguments.example:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(2, 6, arguments.embed_dim, generator=generator)
        due = inspect.signature(model.forward).parameters
        is_due = all(name in due and due[name].default is due[name].empty for name in KEY_VALUE)
        return ((x, x, x) if is_due else (x,)), {}
    made = _find(arguments.example)()
    if isinstance(made, dict):
        return (), made
    return (made if isinstance(made, tuple) else (made,)), {}
