"""Watch a Transformer's heads while it works, and switch single heads off."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from cleanformer_lite.transformer import Transformer


def attention_modules(model: Transformer) -> dict[str, nn.Module]:
    """Name every attention module: "encoder 0", "decoder 0", "cross 0" and so on."""
    modules = {
        f"encoder {i}": block.get_submodule("attention") for i, block in enumerate(model.encoder)
    }
    for i, block in enumerate(model.decoder):
        modules[f"decoder {i}"] = block.get_submodule("attention")
        modules[f"cross {i}"] = block.get_submodule("cross_attention")
    return modules


@torch.no_grad()
def attention_maps(model: Transformer, source: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Run the model once, and return the weights of every attention module by its name.

    Shapes: source `(N, S)`, target `(N, L)` -> weights `(N, H, L, L)` for the decoder, `(N, H, L,
        S)` for cross-attention, `(N, H, S, S)` for the encoder.
    """
    maps: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, module in attention_modules(model).items():
            hooks.enter_context(ask_for_weights(module, name, maps))
        model(source, target)
    return maps


@contextmanager
def ask_for_weights(module: nn.Module, name: str, maps: dict[str, Tensor]) -> Iterator[None]:
    """Have a module give its weights with every call, and put them aside."""

    def before(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**kwargs, "need_weights": True}

    def after(_: nn.Module, args: Any, result: tuple[Tensor, Tensor]) -> Tensor:
        maps[name] = result[1]
        return result[0]

    handles = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def without_head(module: nn.Module, head: int, *, instead: Tensor | float = 0.0) -> Iterator[None]:
    """Silence one head: its part of what the output projection reads becomes zero, or `instead`.

    Shapes: instead `(D,)`, the same at every position, such as the head's mean.

    Raises: ValueError for a head that the module does not have.
    """
    last = number_of_heads(module) - 1
    if not 0 <= head <= last:
        raise ValueError(f"wanted a head from 0 to {last}, got {head}")
    width = head_width(module)

    def silence(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        read = args[0].clone()
        read[..., head * width : (head + 1) * width] = instead
        return (read,)

    handle = module.get_submodule("out_proj").register_forward_pre_hook(silence)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def mean_reads(model: Transformer, source: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Average what each head hands to its output projection, over all positions but padding.

    Shapes: source `(N, S)`, target `(N, L)` -> for each module's name `(H, D)`.
    """
    means: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, module in attention_modules(model).items():
            counted = (source if name.startswith("encoder") else target) != model.padding

            def keep(
                _: nn.Module, args: tuple[Tensor], name: str = name, counted: Tensor = counted
            ) -> None:
                means[name] = args[0][counted].mean(0)  # (N, L, H * D) -> (H * D,)

            handle = module.get_submodule("out_proj").register_forward_pre_hook(keep)
            hooks.callback(handle.remove)
        model(source, target)
    modules = attention_modules(model)
    return {name: mean.view(number_of_heads(modules[name]), -1) for name, mean in means.items()}


def number_of_heads(module: nn.Module) -> int:
    """Say how many heads an attention module has."""
    heads = cast(int, module.num_heads)
    return heads


def head_width(module: nn.Module) -> int:
    """Say how many numbers each head hands to the output projection."""
    return module.get_parameter("out_proj.weight").shape[1] // number_of_heads(module)


@torch.no_grad()
def contributions(module: nn.Module, read: Tensor) -> Tensor:
    """Show what each head adds to the output: its numbers through its columns of the projection.

    Shapes: read `(N, L, H * D)`, what the output projection is given -> `(H, N, L, E)`; their sum
        and the bias are the module's output.
    """
    width = head_width(module)
    columns = module.get_parameter("out_proj.weight").split(width, dim=1)
    parts = read.split(width, dim=-1)  # (N, L, H * D) -> H times (N, L, D)
    return torch.stack([part @ c.T for part, c in zip(parts, columns, strict=True)])
