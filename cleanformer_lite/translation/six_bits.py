"""Round a model's weights to six bits each, so that each is one letter in a page."""

import copy
import string
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

MOST = 31  # whole numbers from -31 to 31
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
Model = TypeVar("Model", bound=nn.Module)


def round_tensor(tensor: Tensor) -> tuple[Tensor, float]:
    """Write a tensor as whole numbers times one step.

    Shapes: any -> the same shape in int8, from -31 to 31.

    Raises: ValueError for NaN or infinity.
    """
    if not tensor.isfinite().all():
        raise ValueError("wanted finite weights, got NaN or infinity among them")
    step = tensor.abs().max().item() / MOST or 1.0
    return (tensor.detach().cpu() / step).round().to(torch.int8), step


def rounded(model: Model) -> Model:
    """Return a copy of the model that computes with the rounded weights."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in made.state_dict().values():
            whole, step = round_tensor(tensor)
            tensor.copy_(whole * step)
    return made


def as_letters(model: nn.Module) -> dict[str, Any]:
    """Write all weights as one string, a letter for each, and beside it how to read that.

    `tensors` lists name, shape and step in the order of the string. The letters are those of
    base64: the letter at position 31 of its alphabet is 0, the one after it is 1.
    """
    tensors, letters = [], []
    for name, tensor in model.state_dict().items():
        whole, step = round_tensor(tensor)
        tensors.append([name, list(tensor.shape), step])
        letters.append("".join(LETTERS[number + MOST] for number in whole.flatten().tolist()))
    return {"tensors": tensors, "letters": "".join(letters)}
