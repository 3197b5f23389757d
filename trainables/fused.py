"""How are many models trained as one? In lockstep on the same batches, their parameters stacked, each at its own rate.

One batched model (torch.func: vmap over functional_call) replaces many small ones, as HFTA does (Wang et al. 2021,
arXiv:2102.02344). Lanes are independent of one another: one that diverges or leaves changes nothing for the others.
They agree with training alone up to rounding.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from trainables.supervised import RATIO_EVERY, Supervised, call, checked_loss
from trainables.task import Task

log = logging.getLogger("tuner")

TRIED_STEPS = 5
"""Steps over which fused and plain training are compared; as many go before, to warm up."""

AGREEMENT = 1e-4
"""Relative difference of losses up to which two trainings are the same but for rounding."""


class Fused:
    """Several trainings at one step of their plans, of one task, batch size, seed and device, with SGD.

    The lanes stay what they are: their parameters, buffers and momenta become views into the stacked ones, so that each can
    be evaluated, saved or trained alone at any time. They must not be restored while they are fused.

    lanes: see `hindrance` for what can be fused.
    """

    def __init__(self, lanes: Sequence[Supervised]):
        self.lanes = list(lanes)
        self._skeleton = lanes[0].model
        models, count = [dict(lane.model.named_parameters()) for lane in lanes], len(lanes)
        with torch.no_grad():
            self._parameters = torch.stack([_flat(model.values()) for model in models])  # (lanes, parameters)
            momenta = [[_momentum(lane, parameter) for parameter in lane.model.parameters()] for lane in lanes]
            self._momenta = torch.stack([_flat(parts) for parts in momenta])
            self._buffers = {
                name: torch.stack([dict(lane.model.named_buffers())[name] for lane in lanes])
                for name, _ in self._skeleton.named_buffers()
            }
        sizes = [parameter.numel() for parameter in models[0].values()]
        views = zip(models[0].items(), self._parameters.split(sizes, 1), self._momenta.split(sizes, 1))
        self._stacked = {}
        for (name, parameter), values, momenta in views:
            shape = (count, *parameter.shape)
            self._stacked[name] = values.view(shape)
            for lane, model, value, momentum in zip(lanes, models, values.view(shape), momenta.view(shape)):
                _share(lane, model[name], value, momentum)
        for place, lane in enumerate(lanes):
            for name, buffer in lane.model.named_buffers():
                buffer.data = self._buffers[name][place]
        self._decay = self._column([lane.plan.momentum for lane in lanes])
        self._gradients = vmap(grad(self._loss, has_aux=True), in_dims=(0, 0, None, None), randomness="same")

    def train(self, steps: int, rates: Sequence[float]) -> list[float]:
        """Do so many updates, each lane at its rate; the mean loss of each."""
        for lane in self.lanes:
            lane.model.train()
        rate, total = self._column(rates), 0.0
        for _ in range(steps):
            total = total + self._update(rate).double()
            for lane in self.lanes:
                lane.step += 1
        return (total / steps).tolist()

    def part(self) -> list[Supervised]:
        """The lanes, each on its own again; some of them can be fused anew."""
        for lane in self.lanes:
            _part(lane)
        return self.lanes

    def _update(self, rate: torch.Tensor) -> torch.Tensor:
        """One step of SGD with momentum on all lanes; their losses, shape (lanes,)."""
        inputs, targets = self.lanes[0].batch()
        gradients, (losses, buffers) = self._gradients(self._stacked, self._buffers, inputs, targets)
        measured = self.lanes[0].step % RATIO_EVERY == 0
        with torch.no_grad():
            before = self._parameters.clone() if measured else self._parameters
            flat = torch.cat([gradients[name].reshape(len(self.lanes), -1) for name in self._stacked], 1)
            self._momenta.mul_(self._decay).add_(flat)
            self._parameters.addcmul_(self._momenta, rate, value=-1)
            for name, value in buffers.items():
                self._buffers[name].copy_(value)
            if measured:
                ratios = (self._parameters - before).norm(dim=1) / before.norm(dim=1).clamp_min(1e-12)
                for lane, ratio in zip(self.lanes, ratios):
                    lane.ratio = ratio
        return losses

    def _loss(self, parameters: dict, buffers: dict, inputs: Any, targets: Any) -> tuple[torch.Tensor, tuple[torch.Tensor, dict]]:
        """One lane's loss; beside it, for no gradient: the loss once more and the buffers afterwards."""
        state = {**parameters, **buffers}
        outputs = call(lambda *args, **named: functional_call(self._skeleton, state, args, named), inputs)
        loss = checked_loss(self.lanes[0].task.loss(outputs, targets))
        return loss, (loss.detach(), {name: state[name] for name in buffers})

    def _column(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=self._parameters.dtype, device=self._parameters.device).unsqueeze(1)


def _flat(tensors: Any) -> torch.Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _momentum(lane: Supervised, parameter: nn.Parameter) -> torch.Tensor:
    buffer = lane.optimizer.state.get(parameter, {}).get("momentum_buffer")
    return torch.zeros_like(parameter) if buffer is None else buffer


def _share(lane: Supervised, parameter: nn.Parameter, value: torch.Tensor, momentum: torch.Tensor) -> None:
    """Have a lane's parameter and its momentum lie in these tensors."""
    parameter.data, parameter.grad = value, None
    if lane.plan.momentum:
        lane.optimizer.state[parameter]["momentum_buffer"] = momentum


def _part(lane: Supervised) -> None:
    """Have a lane's tensors lie in memory of their own again."""
    for parameter in lane.model.parameters():
        _share(lane, parameter, parameter.data.clone(), _momentum(lane, parameter).clone())
    for buffer in lane.model.buffers():
        buffer.data = buffer.data.clone()


def hindrance(lanes: Sequence[Supervised]) -> str:
    """Why these cannot be fused; "" if nothing is known to stand in the way."""
    first = lanes[0]
    if any((lane.task, lane.step, lane.device) != (first.task, first.step, first.device) for lane in lanes):
        return "they are not at one step of one task"
    alike = {(lane.plan.batch_size, lane.plan.seed, lane.plan.optimizer) for lane in lanes}
    if len(alike) > 1 or first.plan.optimizer != "sgd" or type(first.task).optimizer is not Task.optimizer:
        return "only plain SGD at one batch size and seed can be"
    parameters = list(first.model.parameters())
    if not all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in parameters):
        return "only models all of whose parameters are trained, in single precision, can be"
    return ""


def fused(lanes: Sequence[Supervised]) -> Fused | None:
    """The lanes as one, if that is possible, the same training, and faster than one after another, by a short trial after
    which they stand where they stood; otherwise None, and the log says why."""
    if len(lanes) < 2:
        return None
    why = hindrance(lanes) or _failing(lanes)
    if why:
        log.info("%d trainings go one after another, not fused: %s", len(lanes), why)
        return None
    return Fused(lanes)


def _failing(lanes: Sequence[Supervised]) -> str:
    """What a trial has against it; "" if nothing."""
    try:
        gain, difference = tried(lanes)
    except Exception as error:  # whatever torch.func or the task's own code says to being batched
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    if not difference <= AGREEMENT:  # attention draws its dropout in another order when batched
        return f"the loss would differ by {difference:.0e} of it"
    return f"it would take {1 / gain:.1f} times as long" if gain <= 1 else ""


def tried(lanes: Sequence[Supervised]) -> tuple[float, float]:
    """How many times faster fused training is, and by how much of it the first lane's loss differs from that alone.

    Leaves the lanes as they were, each on its own.

    Raises: whatever torch.func or the task's own code says to being batched.
    """
    states = [lane.state() for lane in lanes]
    try:
        one = Fused(lanes)
        together, losses = _second(lambda: one.train(TRIED_STEPS, [0.0] * len(lanes)))
        one.part()
        lanes[0].restore(states[0])
        apart, loss = _second(lambda: lanes[0].train(TRIED_STEPS, 0.0))
    finally:
        for lane, state in zip(lanes, states):
            _part(lane)
            lane.restore(state)
    return len(lanes) * apart / together, abs(losses[0] - loss) / max(abs(loss), 1e-12)


def _second(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds it takes the second time, and what it gives then."""
    work()
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found
