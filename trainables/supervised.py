"""How is one model trained? Supervised learning as a pure function of (plan, step)."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from typing import Any

import torch
from torch import nn

from studies.errors import TaskError
from studies.finish import Pruned, Views
from studies.plan import Distilled, Plan
from studies.trial import Metric
from trainables import finish, recipe
from trainables.eager import eager
from trainables.measuring import Tally, checked_loss, measure
from trainables.randomness import seed_everything
from trainables.recipe import large_batch, precision, regularize
from trainables.recipe.stopping import Stopping
from trainables.split import Split, shown

RATIO_EVERY = 10
"""Steps between two measurements of the update ratio; each costs about one more pass over the parameters."""

EVALUATION_BATCH = 512
"""Examples that go through a model at once to be evaluated; fewer where they do not fit."""

GLANCED = 16
"""Examples by which it is checked that a recipe goes with the data and the model."""


class Supervised:
    """One model under way on a task (trainables.trainable.Trainable).

    task: a trainables.task.Task; train, valid: its data; target: what decides; own: which of loss and optimizer are the task's
    own, not Task's.
    shares: by which the rate is multiplied for each of the optimizer's groups; still: the layers that are never in training.
    step: where it stands; ratio: norm of an update over norm of the parameters, measured every RATIO_EVERY steps (a tensor, NaN
    before the first).

    Raises: TaskError if the task's model is no module, or its optimizer none; InputError if the plan's recipe does not go with
    them.
    """

    def __init__(self, task: Any, plan: Plan, train: Split, valid: Split, device: str, target: Metric, own: Collection[str] = ()):
        self.task, self.plan, self.device, self._target, self.own = task, plan, device, target, own
        self._train, self._valid = train, valid
        distilled = isinstance(plan.finish, Distilled)
        self.model = fresh_model(task, plan.seed, task.student if distilled else task.model)
        self._teacher: finish.Mean | None = None
        self.still = recipe.prepare(self.model, plan.recipe)
        self.model.to(device)
        regularize.draw_as_when_batched(self.model)
        self.loss = recipe.loss_of(plan.recipe, task, own)
        self._changes: tuple[recipe.Change, ...] = ()
        if plan.recipe:
            recipe.check_optimizer(plan.recipe, own)
            if plan.recipe.precision:
                precision.check(device)
            self._changes = tuple(recipe.changes(plan.recipe, self.loss, *self._glance()))
        for name in reversed(plan.optimizers):  # the later ones are to be refused now, not on the way
            self._choose(name)
        self.step, self.ratio = 0, torch.tensor(float("nan"))
        self._pruned, self._masks = plan.finish if isinstance(plan.finish, Pruned) else None, {}
        self._stopping = self._patience()
        self._at_once = EVALUATION_BATCH

    def _glance(self) -> tuple[Any, Any, Any]:
        """Inputs and targets of some examples, and the untrained model's outputs."""
        inputs, targets = self._train.take(torch.arange(min(len(self._train), GLANCED)))
        self.model.eval()
        with torch.no_grad():
            return inputs, targets, call(self.model, inputs)

    def _choose(self, optimizer: str) -> None:
        """Go on with a new optimizer of this name."""
        self._chosen = optimizer
        plan = self.plan if optimizer == self.plan.optimizer else self.plan.but(optimizer=optimizer)
        self.optimizer = self.task.optimizer(self.model, plan)
        if not isinstance(self.optimizer, torch.optim.Optimizer):
            raise TaskError(f"optimizer: expected a torch.optim.Optimizer; got {shown(self.optimizer)}")
        groups = self.optimizer.param_groups
        first = groups[0]["lr"]
        self.shares = [(group["lr"] / first if first else 1.0) * group.get("lr_scale", 1.0) for group in groups]

    @property
    def approximations(self) -> tuple[str, ...]:
        """What of the plan is carried out only nearly, in words."""
        return tuple(large_batch.approximations(self.model)) if self.plan.recipe.accumulate else ()

    @property
    def regularisation(self) -> tuple[str, ...]:
        """What of it keeps the model from learning by heart, in words."""
        return tuple(regularize.regularisation(self.model, self.optimizer, self.plan.recipe))

    def train(self, steps: int, lr: float) -> float:
        if (optimizer := self.plan.optimizer_at(self.step)) != self._chosen:
            self._choose(optimizer)
        self.wake()
        for group, share in zip(self.optimizer.param_groups, self.shares):
            group["lr"] = lr * share
        total: Any = 0.0
        for _ in range(steps):
            if self._pruned and self.step == self._pruned.at:
                self._masks = finish.smallest(self.model, self._pruned.share)
                finish.cut(self.model, self._masks)
                self._stopping = self._patience()
            total = total + self._stepped()
        return float(total) / steps

    def wake(self) -> None:
        """Bring the layers that are trained into training."""
        self.model.train()
        for layer in self.still:
            layer.eval()

    def _stepped(self) -> Any:
        """Do the next step, if the training is not over; its loss. In doubles, sums of these do not depend on where the steps
        are cut into pieces."""
        if self._stopping and self._stopping.ended:
            self.step += 1
            return self._stopping.loss
        loss = self._update().double()
        self.step += 1
        if self._stopping and self._stopping.after(self.step, loss, self.model, self._measured):
            self.wake()
        return loss

    def _patience(self) -> Stopping | None:
        """That of the recipe, from here on."""
        if not (part := self.plan.recipe.early_stopping):
            return None
        return Stopping(self._target, self.plan.every(len(self._train)), part.patience)

    def _measured(self) -> float:
        """What decides, now; NaN if it is not there."""
        return self.evaluate().get(self._target.name, math.nan)

    def batch(self) -> tuple[Any, Any]:
        """Inputs and targets of the next step; all that is random in this process is seeded for it."""
        inputs, targets = self._train.at(self.plan.batch_size, self.plan.seed, self.step)
        for change in self._changes:
            inputs, targets = change(inputs, targets)
        return inputs, targets

    def _update(self) -> torch.Tensor:
        inputs, targets = self.batch()
        with eager():
            self.optimizer.zero_grad(set_to_none=True)
        loss = self._gradients(inputs, targets)
        if self.plan.recipe.l1:
            regularize.shrink(self.model, self.plan.recipe.l1.rate)
        if clip := self.plan.recipe.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), clip.norm)
        measured = self.step % RATIO_EVERY == 0
        before = [parameter.detach().clone() for parameter in self.model.parameters()] if measured else []
        with eager():
            self.optimizer.step()
        if self._masks:
            finish.cut(self.model, self._masks)
        if measured:
            self.ratio = _ratio(before, list(self.model.parameters()))
        return loss.detach()

    def _gradients(self, inputs: Any, targets: Any) -> torch.Tensor:
        """Leave the parameters' gradients of this batch; its loss."""
        if self.plan.recipe.accumulate:
            return large_batch.accumulated(self._loss, inputs, targets, self._pieces())
        loss = self._loss(inputs, targets)
        loss.backward()
        return loss

    def _pieces(self) -> int:
        return self.plan.recipe.accumulate.pieces

    def _outputs(self, inputs: Any) -> Any:
        return call(self.model, inputs)

    def _loss(self, inputs: Any, targets: Any) -> torch.Tensor:
        halved = self.plan.recipe.precision
        outputs = precision.in_half(self._outputs, inputs, self.device) if halved else self._outputs(inputs)
        loss = checked_loss(self.loss(outputs, targets))
        if self._teacher is None:
            return loss
        with torch.no_grad():
            wanted = call(self._teacher, inputs)
        how = self.plan.finish
        return (1 - how.weight) * loss + how.weight * finish.taught(outputs, wanted, how, self._classes)

    def enlist(self, teachers: Sequence["Supervised"]) -> None:
        """Be taught by what these say, from here on."""
        self._teacher = finish.Mean([teacher.model.eval() for teacher in teachers], self._classes)

    @cached_property
    def _classes(self) -> bool:
        """Whether the outputs are scores of classes: Task's own loss takes them for such where the targets are integers."""
        _, targets = self._valid.take(torch.tensor([0]))
        return "loss" not in self.own and isinstance(targets, torch.Tensor) and not targets.is_floating_point()

    def evaluate(self) -> dict[str, float]:
        more = {"parameters_left": finish.left(self.model, self._masks)} if self._masks else {}
        if self._stopping and self._stopping.ended:
            more["stopped_at"] = self._stopping.at
        return {**self._evaluated(self.model), "update_ratio": float(self.ratio), **more}

    def _evaluated(self, model: nn.Module) -> dict[str, float]:
        model.eval()
        [tally] = self.tallies(lambda inputs: [call(model, inputs)], 1)
        return tally.told()

    def tallies(self, say: Callable[[Any], Sequence[Any]], count: int) -> list[Tally]:
        """What is measured of so many models, by what they say of some inputs; from the first time on that memory runs out, in
        batches that fit."""
        running: list[Any] = [None] * count
        if isinstance(self.task.metrics, nn.Module):  # torchmetrics' are modules
            own = self.task.metrics.to(self.device)
            running = [own, *(deepcopy(own) for _ in range(count - 1))]
        while True:
            seed_everything(self.plan.seed, self.step, "evaluation")
            tallies = [Tally(self.task, "metrics" in self.own, one) for one in running]
            try:
                measure(tallies, say, self._valid, self._at_once)
                return tallies
            except torch.OutOfMemoryError:
                if self._at_once == 1:
                    raise
            self._at_once //= 2

    def glance(self, say: Callable[[Any], Sequence[Any]]) -> list[float]:
        """The losses of what models say of a batch of the validation set; all of it is more than a probe is worth."""
        seed_everything(self.plan.seed, self.step, "evaluation")
        inputs, targets = self._valid.take(torch.arange(min(len(self._valid), self.plan.batch_size)))
        with torch.no_grad():
            return [float(checked_loss(self.task.loss(outputs, targets))) for outputs in say(inputs)]

    def finished(self, members: Sequence["Supervised"] = ()) -> dict[str, float]:
        """What the plan's finish measures of the trained model: several views of it, or the members of an ensemble.

        Raises: InputError if the task's data are not such that it can.
        """
        if isinstance(self.plan.finish, Views):
            finish.check_images(self._valid.take(torch.tensor([0]))[0])
            voices = finish.views(self.model.eval(), self.plan.finish)
        else:
            voices = [member.model.eval() for member in members]
        return self._evaluated(finish.Mean(voices, self._classes))

    def state(self) -> dict[str, Any]:
        with eager():
            optimizer = self.optimizer.state_dict()
        live = {"model": self.model.state_dict(), "optimizer": optimizer}
        if self._stopping:
            live["stopping"] = self._stopping.state()
        masks = {"masks": {name: mask.cpu() for name, mask in self._masks.items()}} if self._masks else {}
        return {**copied(live), "step": self.step, "update_ratio": float(self.ratio), **masks}

    def restore(self, state: Mapping[str, Any]) -> None:
        if (optimizer := self.plan.optimizer_at(max(0, state["step"] - 1))) != self._chosen:
            self._choose(optimizer)
        self.model.load_state_dict(state["model"])
        own = copied(state["optimizer"])  # it goes on in these very tensors
        with eager():
            self.optimizer.load_state_dict(own)
        if isinstance(self.optimizer, torch.optim.NAdam):  # its mu_product belongs where its step is, not where the parameter is
            for live, kept in zip(self.optimizer.state.values(), own["state"].values()):
                live["mu_product"] = kept["mu_product"].to(live["step"].device)
        self.step, self.ratio = state["step"], torch.tensor(state["update_ratio"])
        self._masks = {name: mask.to(self.device) for name, mask in state.get("masks", {}).items()}
        if self._stopping:
            self._stopping.restore(copied(state["stopping"]))


def copied(value: Any) -> Any:
    """A state whose tensors are its own, and on the CPU. (A deep copy of a view would copy all that it is a view into.)"""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    return type(value)(copied(part) for part in value) if type(value) in (list, tuple) else value


def fresh_model(task: Any, seed: int, make: Callable[[], Any] | None = None) -> nn.Module:
    """The task's model, or what another method of it makes, initialised from the seed alone.

    Raises: TaskError if it is no module.
    """
    seed_everything(seed, "initialisation")
    model = (make or task.model)()
    if not isinstance(model, nn.Module):
        raise TaskError(f"model: expected a torch.nn.Module; got {shown(model)}")
    return model


def call(model: Any, inputs: Any) -> Any:
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
