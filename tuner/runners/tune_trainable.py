"""How does a task train under Ray Tune's own schedulers and searchers, without the stages?"""

import math
import os
from pathlib import Path
from typing import Any

import ray
from ray import tune

from studies.errors import InputError
from studies.plan import Plan

KEYS = ("lr", "batch_size", "momentum", "optimizer", "seed")


def as_trainable(
    task: str, steps_per_iteration: int = 100, data: str | None = None, device: str = "auto", threads: int = 1
) -> type[tune.Trainable]:
    """The task as a class for ray.tune.Tuner. Its `metric` and `mode` are the task's, for tune.TuneConfig.

    task, data, device: as the command line names them; "auto" is a GPU where Tune has assigned one (tune.with_resources).
    The config takes lr, in any case, and batch_size, momentum, optimizer and seed, by default those of a Plan; the recipe is the
    task's own. An iteration is so many optimizer updates; its result holds train_loss (their mean), the metrics, lr and steps (so
    far).
    A training that has diverged reports its metric as infinitely bad, and takes no time any more, until it is restored.
    Restored with another lr or batch size, as by PopulationBasedTraining, a training goes on with that one; its momentum
    and optimizer are part of its state, and cannot change.

    Raises: InputError, TaskError if the task cannot be loaded.
    """
    from trainables.task import load_task

    if steps_per_iteration < 1:
        raise InputError(f"steps_per_iteration: expected 1 or more, got {steps_per_iteration}")
    target = load_task(task, data).target
    given = {"task": task, "data": data, "device": device, "threads": threads, "steps_per_iteration": steps_per_iteration}
    return type("Task", (TaskTrainable,), {**given, "metric": target.name, "mode": target.mode, "folder": Path.cwd()})


class TaskTrainable(tune.Trainable):
    """What `as_trainable` makes a subclass of, which says task, data, device, threads, steps_per_iteration, metric, mode
    and the folder that a relative path starts from."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([{"CPU": cls.threads}])

    def setup(self, config: dict[str, Any]) -> None:
        from trainables.machine import settle
        from trainables.task import load_task

        os.chdir(self.folder)
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU") if self.is_actor() else None
        self._device = settle("cpu" if self.device == "auto" and self.is_actor() and not gpus else self.device, self.threads)
        self._workload = load_task(self.task, self.data)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        os.chdir(self.folder)  # Tune has gone to the trial's own
        config = dict(new_config)
        if "lr" not in config or not set(config) <= set(KEYS):
            raise InputError(f"config: expected lr and any of {', '.join(KEYS[1:])}; got {', '.join(config)}")
        self._lr, self._steps, self._loss = float(config.pop("lr")), 0, 0.0
        self._plan = Plan(recipe=self._workload.recipe, **config)
        self._training = self._workload.trainable(self._plan, self._device)
        return True

    def step(self) -> dict[str, Any]:
        if math.isfinite(self._loss):
            self._loss = float(self._training.train(self.steps_per_iteration, self._lr))
            self._steps += self.steps_per_iteration
        known = {"train_loss": self._loss, "lr": self._lr, "steps": self._steps}
        if not math.isfinite(self._loss):
            return {**known, self.metric: -math.inf if self.mode == "max" else math.inf}
        return {**{name: float(value) for name, value in self._training.evaluate().items()}, **known}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        content = {"state": self._training.state(), "steps": self._steps, "loss": self._loss}
        return content | {"momentum": self._plan.momentum, "optimizer": self._plan.optimizer}

    def load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for key in ("momentum", "optimizer"):
            if checkpoint[key] != getattr(self._plan, key):
                raise InputError(
                    f"config: a training with {key} {checkpoint[key]} cannot go on with {getattr(self._plan, key)}, "
                    f"which is part of its state; change lr or batch_size"
                )
        self._training.restore(checkpoint["state"])
        self._steps, self._loss = checkpoint["steps"], checkpoint["loss"]
