"""How is one half of the data read? Item by item; what is the same each time only once, and then it lies on the device."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any

import psutil
import torch
from torch.utils.data import default_collate

from studies.errors import TaskError
from studies.words import last_line
from trainables.batches import batch
from trainables.randomness import Place, seed_everything
from trainables.readers import Readers

log = logging.getLogger("tuner")

Collate = Callable[[list[Any]], Any]

KEPT_BYTES = 1 << 30
"""Up to this size a half of the data is kept on the device."""

GLANCED = 16
"""Items that are read twice, to see whether they are the same each time."""


class Split:
    """One half of the data: (inputs, targets) tensors, or a map-style data set of such pairs.

    It is kept on the device if it is small enough; of a data set each item from when it is first read, if reading draws no random
    numbers, comes to the same each time, and gives tensors of one shape. An input may be a tuple, list or dict of tensors.

    collate: what makes a batch of a data set's items, if that is not torch's default_collate; then nothing is kept, as it may
    depend on the company. readers: processes that read ahead what is not kept.

    Raises: TaskError if it is neither, or empty.
    """

    def __init__(self, data: Any, device: str, readers: int = 0, collate: Collate | None = None):
        self.device, self._data, self._own = device, data, collate is not None
        self._read = partial(_batch, data, collate or default_collate)
        self._tensors = isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(part, torch.Tensor) for part in data)
        self._check()
        self._kept: Any = None
        """Tensors of all examples, shape (examples, ...) each, in a nest as that of a batch."""
        self._unread: torch.Tensor | None = None
        """Which of these have not been read yet, shape (examples,), where some may have to be."""
        self._readers = Readers(self._read, readers) if readers else None
        self._coming: Iterator[tuple[Any, Place | None]] = iter(())
        self._next: tuple[int, int, int] | None = None
        """Batch size, seed and step of the first of what is coming, if that is for a training."""
        if self._tensors:
            self._kept = [part.to(device) if _bytes(part) <= KEPT_BYTES else part for part in data]

    def _check(self) -> None:
        if self._tensors:
            sizes = {part.shape[0] if part.dim() else None for part in self._data}
            if len(sizes) > 1 or None in sizes:
                shapes = " and ".join(str(tuple(part.shape)) for part in self._data)
                raise TaskError(f"expected inputs and targets of one length; got tensors of shape {shapes}")
        elif not (hasattr(self._data, "__len__") and hasattr(self._data, "__getitem__")):
            raise TaskError(f"expected (inputs, targets) tensors or a map-style data set; got {shown(self._data)}")
        if len(self) == 0:
            raise TaskError("expected some examples; there are none")
        if not self._tensors:
            item = self._data[0]
            if not isinstance(item, tuple | list) or len(item) != 2:
                expected = "(inputs, targets) tensors, or a data set with items (input, target)"
                raise TaskError(f"expected {expected}; item 0 of {shown(self._data)} is {shown(item)}")

    def __len__(self) -> int:
        return len(self._data[0] if self._tensors else self._data)

    def take(self, indices: torch.Tensor) -> tuple[Any, Any]:
        """A batch on the device. indices: shape (batch,)."""
        if not self._tensors:
            self._keep(indices)
        if self._kept is None:
            return self._moved(self._read(indices))
        inputs, targets = nested(lambda part: to(part[to(indices, part.device)], self.device), self._kept)
        return inputs, targets

    def at(self, batch_size: int, seed: int, step: int) -> tuple[Any, Any]:
        """The batch of a training's step; all that is random in this process is seeded for it."""
        seed_everything(seed, step)
        examples = len(self)
        indices = batch(examples, batch_size, seed, step)
        if not self._ahead():
            return self.take(indices)
        if self._next != (batch_size, seed, step):
            orders = (((seed, at), batch(examples, batch_size, seed, at)) for at in count(step))
            self._coming = self._readers.fill(orders)
        self._next = (batch_size, seed, step + 1)
        return self._moved(self._received(indices))

    def batches(self, size: int) -> Iterator[tuple[Any, Any]]:
        """All of it in order, so many at a time."""
        pieces, ahead = torch.arange(len(self)).split(size), self._ahead()
        if ahead:
            self._coming, self._next = self._readers.fill((None, piece) for piece in pieces), None
        for piece in pieces:
            yield self._moved(self._received(piece)) if ahead and self._readers else self.take(piece)

    def _moved(self, examples: Any) -> tuple[Any, Any]:
        if not isinstance(examples, tuple | list) or len(examples) != 2:
            raise TaskError(f"collate: expected (inputs, targets); got {shown(examples)}")
        inputs, targets = to(examples, self.device)
        return inputs, targets

    def _ahead(self) -> bool:
        """Whether other processes read what is not kept."""
        return bool(self._readers) and not self._tensors and not self._keeps()

    def _received(self, indices: torch.Tensor) -> Any:
        """These examples from those who read ahead; from now on read here, if that comes to something else."""
        try:
            examples, place = next(self._coming)
        except Exception as error:  # the data set's own is raised again here
            why = f"{type(error).__name__}: {last_line(str(error))}"
        else:
            if place is None or self._next:
                if place:
                    place.go()
                return examples
            why = "evaluating draws random numbers"
        self._readers, self._coming = None, iter(())
        examples = self._read(indices)
        log.warning("the data are not read ahead any more: %s", why)
        return examples

    def _keep(self, indices: torch.Tensor) -> None:
        """Read those of a data set's items that are to be kept and have not been read; if they cannot be kept, keep none."""
        if not self._keeps() or not len(indices := indices[self._unread[indices]]):
            return
        place = Place()
        items = self._read(indices)
        if place != Place() or _kind(items) != _kind(self._kept):
            place.go()
            self._kept = None
            return
        nested(lambda part, new: part.index_copy_(0, to(indices, part.device), to(new, part.device)), self._kept, items)
        self._unread[indices] = False

    def _keeps(self) -> bool:
        """Whether a data set's items are kept."""
        if self._unread is None:
            self._unread = torch.ones(len(self), dtype=torch.bool)
            self._kept = None if self._own else self._room()
        return self._kept is not None

    def _room(self) -> Any:
        """Tensors for all of a data set's examples; None if its items are not such that they can be kept, as a glance tells."""
        place, glance = Place(), torch.arange(min(len(self), GLANCED)).split(1)
        try:
            first = self._read(glance[0])
            parts = list(leaves(first))
            tensors = all(isinstance(part, torch.Tensor) for part in parts)
            if not tensors or len(self) * sum(map(_bytes, parts)) > _most(self.device):
                return None
            once, again = ([self._read(index) for index in glance] for _ in range(2))
        except Exception:  # it will be raised again where it belongs
            return None
        finally:
            place.go()
        alike = all(_kind(item) == _kind(first) for item in once + again)
        if not alike or not all(map(torch.equal, leaves(once), leaves(again))):
            return None
        return nested(lambda part: part.new_empty((len(self), *part.shape[1:]), device=self.device), first)


def _most(device: str) -> int:
    """Bytes that may be taken to keep a data set's items; where a process trains on each core, half of what is free for all."""
    return KEPT_BYTES if device != "cpu" else min(KEPT_BYTES, psutil.virtual_memory().available // (4 * (os.cpu_count() or 1)))


def nested(change: Callable[..., Any], *nests: Any) -> Any:
    """A nest of lists and dicts of what is made of each part of one, or of the parts in the same place of several."""
    first = nests[0]
    if isinstance(first, Mapping):
        return {key: nested(change, *(nest[key] for nest in nests)) for key in first}
    return [nested(change, *parts) for parts in zip(*nests)] if isinstance(first, tuple | list) else change(*nests)


def to(nest: Any, device: Any) -> Any:
    """Its tensors on the device."""

    def moved(part: Any) -> Any:
        if not isinstance(part, torch.Tensor):
            return part
        return part.to(device, non_blocking=str(device) != "cpu")  # on its way to the CPU it would be read before it is there

    return nested(moved, nest)


def _batch(data: Any, collate: Collate, indices: torch.Tensor) -> Any:
    return collate([data[i] for i in indices.tolist()])


def count_of(nest: Any) -> int:
    """How many examples there are in a part of a batch."""
    return next((len(part) for part in leaves(nest) if isinstance(part, torch.Tensor)), 0)


def leaves(nest: Any) -> Iterator[Any]:
    """Its parts, whatever they are."""
    if isinstance(nest, Mapping | tuple | list):
        for part in nest.values() if isinstance(nest, Mapping) else nest:
            yield from leaves(part)
    else:
        yield nest


def _kind(nest: Any) -> Any:
    """What examples have in common."""
    return nested(lambda part: (part.dtype, part.shape[1:]) if isinstance(part, torch.Tensor) else None, nest)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def shown(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
