"""What is measured of a model? Its loss and its metrics on the validation set, which goes through it in batches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from studies.errors import TaskError
from trainables.split import Split, shown


class Tally:
    """Of one model, batch by batch.

    task: whose loss and metrics these are; own: whether the metrics are not Task's, for which no outputs need to be kept.
    running: metrics that take one batch after another, as torchmetrics' do, if the task has such; for this tally alone.
    """

    def __init__(self, task: Any, own: bool, running: nn.Module | None):
        self._task, self._own, self._running = task, own, running
        self._total, self._count, self._kept = 0.0, 0, []
        self._error: Exception | None = None
        if running is not None:
            running.reset()

    def add(self, outputs: Any, targets: Any, count: int) -> None:
        """Of so many examples. What the task raises is raised in the end, so that others' batches go on."""
        if self._error:
            return
        try:
            self._add(outputs, targets, count)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            self._error = error

    def _add(self, outputs: Any, targets: Any, count: int) -> None:
        self._total = self._total + checked_loss(self._task.loss(outputs, targets)).double() * count
        self._count += count
        if self._running is not None:
            self._running.update(outputs, targets)
        else:
            self._kept.append((outputs, targets) if self._own else hits(outputs, targets))

    def told(self) -> dict[str, float]:
        """val_loss (the mean over the examples) and the task's metrics.

        Raises: TaskError if the metrics are not numbers by name; what the task has raised.
        """
        if self._error:
            raise self._error
        metrics = self._metrics()
        if self._running is not None and not isinstance(metrics, Mapping):
            named = self._task.metric not in (None, "val_loss")
            metrics = {self._task.metric if named else type(self._running).__name__: metrics}
        if not isinstance(metrics, Mapping):
            raise TaskError(f"metrics: expected a dict of numbers by name; got {shown(metrics)}")
        numbers = {str(name): _number(name, value) for name, value in metrics.items()}
        return {"val_loss": float(self._total) / self._count, **numbers}

    def _metrics(self) -> Any:
        if self._running is not None:
            return self._running.compute()
        return self._task.metrics(*(_joined(parts) for parts in zip(*self._kept))) if self._own else accuracy(self._kept)


def measure(tallies: Sequence[Tally], say: Callable[[Any], Sequence[Any]], valid: Split, at_once: int) -> None:
    """Have models looked at. say: what each of them says of some inputs. at_once: examples that go through them together."""
    with torch.no_grad():
        for first, (inputs, targets) in zip(range(0, len(valid), at_once), valid.batches(at_once)):
            for tally, outputs in zip(tallies, say(inputs), strict=True):
                tally.add(outputs, targets, min(at_once, len(valid) - first))


def checked_loss(loss: Any) -> torch.Tensor:
    """Raises: TaskError if it is not one number."""
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        raise TaskError(f"loss: expected one number, the mean over the batch; got {shown(loss)}")
    return loss.reshape(())


def hits(outputs: Any, targets: torch.Tensor) -> torch.Tensor | None:
    """Whether each target is the class that scores highest, in the shape of the targets; None where these are no classes."""
    return None if targets.is_floating_point() else outputs.argmax(1) == targets


def accuracy(hits: Sequence[torch.Tensor | None]) -> dict[str, float]:
    """Of all batches together."""
    return {} if hits[0] is None else {"accuracy": torch.cat([each.flatten() for each in hits]).float().mean().item()}


def _joined(parts: Any) -> Any:
    """Batches of tensors, or of tuples, lists or dicts of them, as one."""
    if isinstance(parts[0], Mapping):
        return {key: _joined([part[key] for part in parts]) for key in parts[0]}
    if isinstance(parts[0], tuple | list):
        return tuple(_joined(part) for part in zip(*parts))
    try:
        return torch.cat(parts)
    except (TypeError, RuntimeError) as error:
        do = "set metrics to a torchmetrics metric, which is given one batch after another"
        raise TaskError(f"metrics: the batches of the validation set cannot be joined: {error}; {do}") from None


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TaskError(f"metrics: {name}: expected one number; got {shown(value)}") from None
