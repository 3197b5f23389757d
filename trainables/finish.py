"""How is a finish carried out? Other folds of the data, other views of an image, several models as one, fewer weights.

What each is, is said in studies.finish.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import ConcatDataset, Subset

from studies.errors import InputError
from studies.finish import Fold, Views
from studies.plan import Distilled
from trainables.randomness import mixed


class Mean(nn.Module):
    """What several voices say, as one model: the mean of their outputs; of scores of classes, shape (batch, classes, ...), that
    of their probabilities, as logarithms, so that losses and metrics take it for outputs of one model."""

    def __init__(self, voices: Sequence[Callable[..., torch.Tensor]], classes: bool):
        super().__init__()
        self._voices, self._classes = voices, classes

    def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        said = torch.stack([voice(*inputs, **named) for voice in self._voices])
        if not self._classes:
            return said.mean(0)
        return said.log_softmax(2).logsumexp(0) - torch.tensor(float(len(said))).log()


def taught(said: torch.Tensor, teacher: torch.Tensor, how: Distilled, classes: bool) -> torch.Tensor:
    """How far a student is from its teacher: of scores of classes, shape (batch, classes, ...), the mean divergence of what is
    softened, times the temperature's square, so that its gradients keep their size; else the mean squared difference."""
    if not classes:
        return nn.functional.mse_loss(said, teacher)
    soft, wanted = (said / how.temperature).log_softmax(1), (teacher / how.temperature).softmax(1)
    apart = nn.functional.kl_div(soft, wanted, reduction="sum") / (said.numel() // said.shape[1])
    return apart * how.temperature**2


def views(model: nn.Module, how: Views) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """The model, as it sees an image, its mirror image, and it shifted to the four sides, zeros coming in."""
    turns: list[Callable[[torch.Tensor], torch.Tensor]] = [lambda images: images]
    if how.mirror:
        turns.append(lambda images: images.flip(-1))
    if how.shift:
        turns += [lambda images, side=side: _shifted(images, how.shift, side) for side in range(4)]
    return [lambda images, turn=turn: model(turn(images)) for turn in turns]


def _shifted(images: torch.Tensor, by: int, side: int) -> torch.Tensor:
    """side: 0 right, 1 left, 2 down, 3 up."""
    dimension, back = (3, side == 1) if side < 2 else (2, side == 3)
    moved = images.roll(-by if back else by, dimension)
    edge = range(images.shape[dimension])[-by:] if back else range(by)
    return moved.index_fill(dimension, torch.tensor(list(edge), device=images.device), 0)


def check_images(inputs: Any) -> None:
    """Raises: InputError if they are no images."""
    if not isinstance(inputs, torch.Tensor) or inputs.dim() != 4:
        shape = tuple(inputs.shape) if isinstance(inputs, torch.Tensor) else type(inputs).__name__
        raise InputError(f"finish: views: expected images, of shape (batch, channels, height, width); got {shape}")


def folded(train: Any, valid: Any, fold: Fold, seed: int) -> tuple[Any, Any]:
    """(all but the fold, the fold) of all examples of both halves of a task's data, in an order that the seed gives."""
    tensors = all(isinstance(half, tuple | list) and isinstance(half[0], torch.Tensor) for half in (train, valid))
    whole = [torch.cat(parts) for parts in zip(train, valid)] if tensors else ConcatDataset([train, valid])
    count = len(whole[0]) if tensors else len(whole)
    if count < fold.of:
        raise InputError(f"finish: folds: expected at least {fold.of} examples, got {count}")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(mixed("folds", seed)))
    parts = list(order.tensor_split(fold.of))
    held = parts.pop(fold.index)

    def taken(indices: torch.Tensor) -> Any:
        return tuple(part[indices] for part in whole) if tensors else Subset(whole, indices.tolist())

    return taken(torch.cat(parts)), taken(held)


def smallest(model: nn.Module, share: float) -> dict[str, torch.Tensor]:
    """Masks, by name: False for that share of the weights of all layers together that are the smallest; biases and norms, which
    are few, are spared."""
    weights = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.dim() > 1}
    if not weights:
        raise InputError("finish: pruned: expected a model with weight matrices; it has none")
    sizes = torch.cat([weight.abs().flatten() for weight in weights.values()])
    least = sizes.sort().values[max(0, int(share * len(sizes)) - 1)]
    return {name: weight.abs() > least for name, weight in weights.items()}


def cut(model: nn.Module, masks: dict[str, torch.Tensor]) -> None:
    """Zero what the masks leave out."""
    with torch.no_grad():
        for name, parameter in _masked(model, masks):
            parameter.mul_(masks[name])


def left(model: nn.Module, masks: dict[str, torch.Tensor]) -> float:
    """The share of all parameters that is not cut."""
    gone = sum(int((~mask).sum()) for mask in masks.values())
    return 1 - gone / sum(parameter.numel() for parameter in model.parameters())


def _masked(model: nn.Module, masks: dict[str, torch.Tensor]) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if name in masks)
