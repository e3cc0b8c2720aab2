"""Round a model's weights to six bits each, so that each is one letter in a page."""

import copy
import string
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

MOST = 31  # whole numbers from -31 to 31
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
Model = TypeVar("Model", bound=nn.Module)


def round_tensor(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Write each row of a tensor as whole numbers times the row's own step.

    Shapes: `(R, C)` -> the same in int8, from -31 to 31, and steps `(R, 1)`; a tensor `(C,)` is one
        row.

    Raises: ValueError for NaN or infinity.
    """
    if not tensor.isfinite().all():
        raise ValueError("wanted finite weights, got NaN or infinity among them")
    matrix = tensor.detach().cpu().float().view(-1, tensor.shape[-1])
    largest = matrix.abs().amax(dim=1, keepdim=True)
    # Three digits are enough for a step, and short to write.
    steps = [float(f"{size / MOST:.2e}") or 1.0 for size in largest.flatten().tolist()]
    step = torch.tensor(steps)[:, None]
    whole = (matrix / step).round().clamp(-MOST, MOST)
    return whole.to(torch.int8).view(tensor.shape), step


def rounded(model: Model) -> Model:
    """Return a copy of the model that computes with the rounded weights."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in made.state_dict().values():
            whole, step = round_tensor(tensor)
            tensor.copy_((whole.view(len(step), -1) * step).view(tensor.shape))
    return made


def as_letters(model: nn.Module) -> dict[str, Any]:
    """Write all weights as one string, a letter for each, and beside it how to read that.

    `tensors` lists name, shape and the steps of the rows, in the order of the string. The letters
    are those of base64: the letter at position 31 of its alphabet is 0, the one after it is 1.
    """
    tensors, letters = [], []
    for name, tensor in model.state_dict().items():
        whole, step = round_tensor(tensor)
        tensors.append([name, list(tensor.shape), [float(f"{s:.2e}") for s in step.flatten()]])
        letters.append("".join(LETTERS[number + MOST] for number in whole.flatten().tolist()))
    return {"tensors": tensors, "letters": "".join(letters)}
