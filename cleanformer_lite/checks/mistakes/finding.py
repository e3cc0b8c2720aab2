"""Mistakes of looking for layers that nobody registered. Wrong on purpose."""

from collections.abc import Callable
from typing import Any

from torch import nn

from cleanformer_lite.checks.mistake import mistake


def _lists_in_which(holds: Callable[[list[Any]], bool]) -> Callable[[nn.Module], list[str]]:
    """Name the attributes that are lists of some kind."""

    def hidden_layers(module: nn.Module) -> list[str]:
        return [
            name for name, value in vars(module).items() if isinstance(value, list) and holds(value)
        ]

    return hidden_layers


def _is_layer(item: object) -> bool:
    return isinstance(item, nn.Module)


@mistake(
    cause="not every item of a list is asked: the first alone, or all of them have to be layers",
    symptom="a list such as `[None, layer]` is not found, or an empty one is, or raises",
    hints=(
        "Try a list that holds `None` and then a layer. And an empty one.",
        "How many items have to be layers for the optimizer to miss something?",
        "`any(isinstance(item, nn.Module) for item in value)`.",
    ),
)
class ListLookedAtInPart:
    """Asks the first item, the last, or all."""

    forms = {
        "registration_bug.find": (
            _lists_in_which(lambda value: _is_layer(value[0])),
            _lists_in_which(lambda value: bool(value) and _is_layer(value[0])),
            _lists_in_which(lambda value: _is_layer(value[-1])),
            _lists_in_which(lambda value: bool(value) and _is_layer(value[-1])),
            _lists_in_which(lambda value: all(map(_is_layer, value))),
            _lists_in_which(lambda value: bool(value) and all(map(_is_layer, value))),
        ),
    }


@mistake(
    cause="every list is named, whatever it holds",
    symptom="lists of numbers and of text are reported, which are harmless",
    hints=(
        "Which of the lists that you name holds a layer?",
        "A list is harmless as long as the optimizer misses nothing in it.",
        "Ask the items, too: `any(isinstance(item, nn.Module) for item in value)`.",
    ),
)
class EveryListNamed:
    """Asks for lists alone."""

    forms = {
        "registration_bug.find": (
            _lists_in_which(lambda value: True),
            _lists_in_which(bool),
        ),
    }


@mistake(
    cause="one kind of layer is looked for, such as `nn.Linear`, where any `nn.Module` counts",
    symptom="a list that holds an `nn.ModuleList`, or a head of one's own, is not found",
    hints=(
        "Put an `nn.ModuleList` into a plain list. Does the optimizer know its layers?",
        "What do all layers inherit from?",
        "`isinstance(item, nn.Module)`.",
    ),
)
class OneKindOfLayer:
    """Looks for `nn.Linear`."""

    forms = {
        "registration_bug.find": (
            _lists_in_which(lambda value: any(isinstance(item, nn.Linear) for item in value)),
        ),
    }
