"""How is a recipe carried out? At four seams of trainables.supervised: the model, the batch, the loss, the optimizer.

What each part is, is said in studies.recipe. Everything random in it is drawn from torch's own generator, which is seeded for
every step, so that a training with any recipe goes on bit for bit. Where the recipe is off, nothing is done.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import nn

from studies.errors import InputError
from studies.recipe import Recipe
from trainables.recipe import augment, layers, mixing
from trainables.recipe.init import initialise
from trainables.recipe.regularize import set_dropout

Change = Callable[[Any, Any], tuple[Any, Any]]


def prepare(model: nn.Module, recipe: Recipe) -> tuple[nn.Module, ...]:
    """Make a fresh model what the recipe wants; the layers that stay in evaluation while it is trained.

    Raises: InputError if the model has not what a part is about.
    """
    if recipe.init:
        initialise(model, recipe.init)
    if recipe.dropout:
        set_dropout(model, recipe.dropout.p)
    if not recipe.freeze:
        return ()
    layers.freeze(model, recipe.freeze.names)
    return layers.still(model, recipe.freeze.names)


def loss_of(recipe: Recipe, task: Any, own: Collection[str]) -> Callable[[Any, Any], torch.Tensor]:
    """The loss to train with: the task's, unless that is Task's, which takes soft labels for numbers to be met."""
    soft = any(getattr(recipe, name) for name in mixing.SOFT)
    return mixing.soft_cross_entropy if soft and "loss" not in own else task.loss


def check_optimizer(recipe: Recipe, own: Collection[str]) -> None:
    """Raises: InputError if a part wants an optimizer of its making, and the task makes its own."""
    wanting = [name for name, _ in recipe.parts() if name in (*layers.GROUPED, "momentum_correction")]
    if wanting and "optimizer" in own:
        raise InputError(f"recipe: {wanting[0]}: expected a task without an optimizer of its own; it has one, which must do this")


def changes(recipe: Recipe, loss: Callable, inputs: Any, targets: Any, outputs: Any) -> Iterator[Change]:
    """What is done to every batch of training, in order. loss: of the task; inputs, targets, outputs: of some examples.

    Raises: InputError if they are not what a part works on.
    """
    on = dict(recipe.parts())
    for name, part in on.items():
        if name in augment.IMAGES or name == "cutmix":
            augment.check_images(name, inputs, getattr(part, augment.TAKEN.get(name, ""), 0))
        if name == "noise":
            augment.check_floats(name, inputs)
        if name in mixing.BLENDS:
            mixing.check_inputs(name, inputs)
        if name in mixing.SOFT:
            mixing.check_labels(name, loss, outputs, targets)
    yield from (_of_inputs(alter) for alter in augment.augmentations(recipe))
    if any(name in (*mixing.BLENDS, *mixing.SOFT) for name in on):
        yield from mixing.mixtures(recipe, outputs.shape[1] if isinstance(outputs, torch.Tensor) and outputs.dim() == 2 else 0)


def _of_inputs(alter: augment.Alter) -> Change:
    return lambda inputs, targets: (alter(inputs), targets)
