"""How is one model trained? Supervised learning as a pure function of (plan, step)."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import default_collate

from studies.errors import TaskError
from studies.plan import Plan
from trainables.batches import batch

RATIO_EVERY = 10
"""Steps between two measurements of the update ratio; each costs about one more pass over the parameters."""

EVALUATION_BATCH = 512

KEPT_BYTES = 1 << 30
"""Tensors up to this size are kept on the device."""


class Split:
    """One half of the data: (inputs, targets) tensors, or a map-style data set of such pairs.

    Tensors are kept on the device if they are small enough.
    """

    def __init__(self, data: Any, device: str):
        self.device = device
        self._tensors = None
        if isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(part, torch.Tensor) for part in data):
            small = sum(part.numel() * part.element_size() for part in data) <= KEPT_BYTES
            self._tensors = tuple(part.to(device) if small else part for part in data)
        self._data = data

    def __len__(self) -> int:
        return len(self._tensors[0] if self._tensors else self._data)

    def take(self, indices: torch.Tensor) -> tuple[Any, Any]:
        """A batch on the device. indices: shape (batch,)."""
        if self._tensors:
            place = indices.to(self._tensors[0].device)
            return tuple(part[place].to(self.device) for part in self._tensors)
        inputs, targets = default_collate([self._data[i] for i in indices.tolist()])
        return _to(inputs, self.device), _to(targets, self.device)

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """All of it in order."""
        for indices in torch.arange(len(self)).split(EVALUATION_BATCH):
            yield self.take(indices)


def _to(part: Any, device: str) -> Any:
    if isinstance(part, torch.Tensor):
        return part.to(device)
    if isinstance(part, Mapping):
        return {key: _to(value, device) for key, value in part.items()}
    return type(part)(_to(value, device) for value in part) if isinstance(part, tuple | list) else part


def seed_everything(*key: int) -> None:
    """Make all that is random from here on a function of the key: dropout, augmentation, initialisation."""
    seed = hash(key) & 0xFFFF_FFFF
    torch.default_generator.manual_seed(seed)  # torch.manual_seed also queues a call for a CUDA that may never come: 0.5 ms
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed)


class Supervised:
    """One model under way on a task (trainables.trainable.Trainable).

    task: a trainables.task.Task; train, valid: its data.
    """

    def __init__(self, task: Any, plan: Plan, train: Split, valid: Split, device: str):
        self.task, self.plan, self._train, self._valid = task, plan, train, valid
        seed_everything(plan.seed, -1)
        self.model: nn.Module = task.model().to(device)
        self._optimizer = task.optimizer(self.model, plan)
        rates = [group["lr"] for group in self._optimizer.param_groups]
        self._shares = [rate / rates[0] if rates[0] else 1.0 for rate in rates]
        self._step, self._ratio = 0, float("nan")

    def train(self, steps: int, lr: float) -> float:
        self.model.train()
        for group, share in zip(self._optimizer.param_groups, self._shares):
            group["lr"] = lr * share
        total: Any = 0.0
        for _ in range(steps):
            seed_everything(self.plan.seed, self._step)
            total = total + self._update()
            self._step += 1
        return float(total) / steps

    def _update(self) -> torch.Tensor:
        inputs, targets = self._train.take(batch(len(self._train), self.plan.batch_size, self.plan.seed, self._step))
        loss = self.task.loss(call(self.model, inputs), targets)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise TaskError(f"loss: expected one number, the mean over the batch; got {_shown(loss)}")
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._step % RATIO_EVERY == 0:
            before = [parameter.detach().clone() for parameter in self.model.parameters()]
            self._optimizer.step()
            self._ratio = _ratio(before, list(self.model.parameters()))
        else:
            self._optimizer.step()
        return loss.detach()

    def evaluate(self) -> dict[str, float]:
        self.model.eval()
        with torch.no_grad():
            measured = self.task.measure((call(self.model, inputs), targets) for inputs, targets in self._valid.batches())
        return {**measured, "update_ratio": float(self._ratio)}

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
            "update_ratio": float(self._ratio),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self._ratio = state["step"], state["update_ratio"]


def call(model: nn.Module, inputs: Any) -> Any:
    """The model's outputs: of one tensor, of several in a tuple or list, or of named ones in a dict."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def _ratio(before: list[torch.Tensor], after: list[torch.Tensor]) -> torch.Tensor:
    """Norm of the update over norm of the parameters, over all of them together."""
    with torch.no_grad():
        moved = torch._foreach_norm([new - old for old, new in zip(before, after)])
        there = torch._foreach_norm(before)
        return torch.stack(moved).norm() / torch.stack(there).norm().clamp_min(1e-12)


def _shown(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
