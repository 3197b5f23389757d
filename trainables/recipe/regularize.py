"""How is a model kept from learning by heart? What is not in the batch (mixing.py) or the optimizer (layers.py): dropout, L1."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from studies.errors import InputError
from studies.recipe import Recipe
from trainables.recipe.mixing import BLENDS

REGULARISING = ("l1", "label_smoothing", *BLENDS, "cutout")
"""Parts of a recipe, besides those that a look at model and optimizer finds."""


def set_dropout(model: nn.Module, p: float) -> None:
    """Give all dropout layers this probability.

    Raises: InputError if there are none.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.modules.dropout._DropoutNd)]
    if not layers:
        raise InputError(f"recipe: dropout: expected a model with dropout layers; {type(model).__name__} has none")
    for layer in layers:
        layer.p = p


def draw_as_when_batched(model: nn.Module) -> None:
    """Have dropout layers draw in the order of the inputs' indices. torch draws in that of their memory, which is another one
    when models are batched, and on a GPU by a kernel of its own: no trainings with dropout could be fused."""
    for layer in model.modules():
        if type(layer) is nn.Dropout:
            layer.forward = partial(_dropped, layer)


def _dropped(layer: nn.Dropout, inputs: torch.Tensor) -> torch.Tensor:
    if not layer.training or layer.p in (0, 1):  # nothing is drawn
        return nn.functional.dropout(inputs, layer.p, layer.training)
    kept = torch.empty(inputs.shape, dtype=inputs.dtype, device=inputs.device).bernoulli_(1 - layer.p)
    return inputs * kept.div_(1 - layer.p)


def shrink(model: nn.Module, rate: float) -> None:
    """Add the gradient of so many times the sum of the parameters' sizes to theirs."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.add_(parameter.detach().sign(), alpha=rate)


def regularisation(model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe) -> Iterator[str]:
    """What of a training keeps the model from learning by heart, in words."""
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            yield f"{type(module).__name__} {module.p:g} in {name or 'the model'}"
    if decays := {group.get("weight_decay", 0) for group in optimizer.param_groups} - {0}:
        yield f"weight decay {max(map(float, decays)):g}"
    yield from (f"{name} of the recipe" for name, _ in recipe.parts() if name in REGULARISING)
