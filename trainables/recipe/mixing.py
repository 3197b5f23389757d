"""How are examples of a batch mixed with one another, and what becomes of their labels?

Functions of (inputs, targets) that draw from torch's own generator. The neighbour in a batch is as good as a random partner,
since the data comes shuffled.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from studies.errors import InputError
from studies.recipe import Recipe

Mix = Callable[[Any, torch.Tensor], tuple[Any, torch.Tensor]]

BLENDS = ("sample_pairing", "mixup", "cutmix")
"""The parts that blend inputs."""

SOFT = ("mixup", "cutmix", "label_smoothing")
"""The parts that make probabilities, shape (batch, classes), of labels."""


def mixtures(recipe: Recipe, classes: int) -> Iterator[Mix]:
    """What the recipe does to whole batches, in order. classes: how many there are; unused where no labels get soft."""
    if recipe.sample_pairing:
        yield lambda inputs, targets: (paired(inputs, recipe.sample_pairing.p), targets)
    if blends := [_blend(name, getattr(recipe, name).alpha, classes) for name in ("mixup", "cutmix") if getattr(recipe, name)]:
        yield lambda inputs, targets: blends[int(torch.randint(len(blends), ()))](inputs, targets)
    if recipe.label_smoothing:
        yield lambda inputs, targets: (inputs, smoothed(targets, recipe.label_smoothing.smoothing, classes))


def paired(inputs: torch.Tensor, p: float) -> torch.Tensor:
    """Each example with probability p the mean of itself and its neighbour."""
    drawn = (torch.rand(len(inputs)) < p).to(inputs.device, non_blocking=True).reshape(-1, *[1] * (inputs.dim() - 1))
    inputs = _fractional(inputs)
    return torch.where(drawn, (inputs + inputs.roll(1, 0)) / 2, inputs)


def smoothed(targets: torch.Tensor, smoothing: float, classes: int) -> torch.Tensor:
    """Labels, hard or soft already, mixed with the uniform distribution; shape (batch, classes)."""
    if targets.dim() == 1:
        targets = nn.functional.one_hot(targets.long(), classes).float()
    return (1 - smoothing) * targets + smoothing / classes


def soft_cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with probabilities, shape (batch, classes), as targets. (A Task's own loss takes such for regression.)"""
    return nn.functional.cross_entropy(outputs, targets)


def check_inputs(name: str, inputs: Any) -> None:
    """Raises: InputError if these cannot be blended."""
    if not isinstance(inputs, torch.Tensor) or not (inputs.is_floating_point() or inputs.dtype == torch.uint8):
        came = inputs.dtype if isinstance(inputs, torch.Tensor) else type(inputs).__name__
        raise InputError(f"recipe: {name}: expected inputs that can be blended, one tensor of floats or of bytes; got {came}")


def check_labels(name: str, loss: Callable, outputs: Any, targets: Any) -> None:
    """A part that makes labels soft needs labels, and a loss that takes both kinds: the same number for both, where they say
    the same.

    Raises: InputError.
    """
    if not isinstance(targets, torch.Tensor) or targets.is_floating_point() or targets.dim() != 1:
        came = f"{targets.dtype} of shape {tuple(targets.shape)}" if isinstance(targets, torch.Tensor) else type(targets).__name__
        raise InputError(f"recipe: {name}: expected classes as targets, whole numbers of shape (batch,); got {came}")
    if not isinstance(outputs, torch.Tensor) or outputs.dim() != 2 or outputs.shape[1] <= int(targets.max()):
        came = f"shape {tuple(outputs.shape)}" if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise InputError(f"recipe: {name}: expected outputs of shape (batch, classes); got {came}")
    try:
        soft = nn.functional.one_hot(targets.long(), outputs.shape[1]).to(outputs.dtype)
        hard = nn.functional.cross_entropy if loss is soft_cross_entropy else loss
        alike = torch.allclose(loss(outputs, soft), hard(outputs, targets.long()), rtol=1e-3, atol=1e-5)
    except Exception:  # what the task's own code says to what it did not expect
        alike = False
    if not alike:
        raise InputError(
            f"recipe: {name}: expected a loss that takes soft labels, probabilities of shape (batch, classes), as well; "
            "the task's own does not"
        )


def _blend(name: str, alpha: float, classes: int) -> Mix:
    from torchvision.transforms import v2

    transform = {"mixup": v2.MixUp, "cutmix": v2.CutMix}[name](alpha=alpha, num_classes=classes)

    def blended(inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = inputs.shape
        images = _fractional(inputs) if inputs.dim() == 4 else _fractional(inputs).reshape(len(inputs), 1, 1, -1)
        mixed, labels = transform(images, targets.long())  # torchvision's take images only; to mixup all numbers are alike
        return mixed.reshape(shape), labels

    return blended


def _fractional(inputs: torch.Tensor) -> torch.Tensor:
    """Bytes as numbers that have halves."""
    return inputs if inputs.is_floating_point() else inputs.float()
