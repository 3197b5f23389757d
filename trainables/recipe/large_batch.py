"""How does a batch that does not fit go through a model? In pieces, whose gradients add up to that of the whole (text 003).

The loss is normalised over the whole batch (Goyal et al. 2017, arXiv:1706.02677, 3, remark 3): each piece's mean counts by its
size. So it is the same update up to rounding, except under batch norm, which sees only pieces (text 002).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from trainables.split import count_of


def accumulated(loss: Callable[[Any, Any], torch.Tensor], inputs: Any, targets: Any, pieces: int) -> torch.Tensor:
    """Leave the gradient of the whole batch; its loss. loss: of (inputs, targets), the mean over these."""
    total, count = torch.zeros(()), count_of(targets)
    for some, theirs in zip(split(inputs, pieces), split(targets, pieces)):
        part = loss(some, theirs) * (count_of(theirs) / count)
        part.backward()
        total = total + part.detach()
    return total


def split(batch: Any, pieces: int) -> Iterator[Any]:
    """A batch (a tensor, or tuples, lists or dicts of them) in so many pieces of about one size; fewer if it is smaller."""
    if isinstance(batch, Mapping):
        return (dict(zip(batch, parts)) for parts in zip(*(split(part, pieces) for part in batch.values())))
    if isinstance(batch, tuple | list):
        return zip(*(split(part, pieces) for part in batch))
    return iter(batch.tensor_split(min(pieces, len(batch))))


def approximations(model: nn.Module) -> Iterator[str]:
    """What going through this model in pieces changes."""
    if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):
        yield "accumulate: batch norm sees pieces of a batch, so this only approximates training with whole batches"
