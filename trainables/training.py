"""How are plans carried out? From the deepest state on the path, to the end, point by point."""

import math
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from studies.errors import StorageError, TaskError
from studies.plan import Plan
from studies.trial import Point, Progress, State
from trainables.checkpoints import Checkpoint, Checkpoints
from trainables.trainable import Trainable, Workload

FORK_EVERY = 4
"""Every so many evaluations a state is kept, so that later stages find one near wherever they fork."""

SAVING_SHARE = 0.05
"""Saving states that are not kept may cost this share of the time."""

REPORT_SECONDS = 0.2
"""Points closer together than this are reported together."""

CHUNK = 10
"""Steps between two looks up, to see whether to stop. They lie at the same steps however a path is cut into pieces, so that
sums of losses are rounded alike."""


def carry_out(
    workload: Workload,
    cohort: Sequence[Plan],
    checkpoints: Checkpoints,
    *,
    eval_examples: float,
    device: str,
    keep: Collection[int] = (),
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Train the plans, one after another, and report on each until it has ended.

    eval_examples: training examples between two evaluations. keep: steps at which a state must be left. stop: asked every
    ten steps; when it says so, the training saves at its step and returns without having ended.

    Raises: StorageError if a state cannot be kept. What the task raises ends its plan as FAILED.
    """
    for plan in cohort:
        yield from _carry_out(workload, plan, checkpoints, eval_examples, device, frozenset(keep), stop)
        if stop():
            return


def _carry_out(workload, plan: Plan, checkpoints: Checkpoints, eval_examples, device, keep, stop) -> Iterator[Progress]:
    begun = checkpoints.deepest(plan) or Checkpoint(0, {})
    yield Progress(plan, begun.points, begun.step)
    try:
        run = Run(workload, plan, checkpoints, plan.every(eval_examples), keep, device, begun)
        yield from run.go(stop)
    except StorageError:
        raise
    except Exception:
        yield Progress(plan, begun=begun.step, ended=State.FAILED, error=traceback.format_exc())


@dataclass
class Run:
    """One plan under way.

    every: steps between evaluations. at: where it stands. passing: the state that the next one makes superfluous. saving:
    seconds the last one took; unsaved: seconds of training since then.
    """

    workload: Workload
    plan: Plan
    checkpoints: Checkpoints
    every: int
    keep: frozenset[int]
    device: str
    at: Checkpoint
    passing: tuple[int, ...] = ()
    saving: float = 0.0
    unsaved: float = 0.0

    def go(self, stop: Callable[[], bool]) -> Iterator[Progress]:
        begun, pending, reported = self.at.step, [], time.monotonic()
        if self.at.step < self.plan.steps:
            trainable = self.workload.trainable(self.plan, self.device)
            if self.at.step:
                trainable.restore(self.at.state)
        while self.at.step < self.plan.steps:
            goal = min((self.at.step // self.every + 1) * self.every, self.plan.steps)
            if not self._train(trainable, goal, stop):
                self._save(trainable)
                yield Progress(self.plan, tuple(pending), begun)
                return
            point = self._measure(trainable)
            pending.append(point)
            if not math.isfinite(point.values["train_loss"]):
                why = f"train loss is {point.values['train_loss']} at step {point.step}"
                yield Progress(self.plan, tuple(pending), begun, State.DIVERGED, why)
                return
            self._save_if_due(trainable)
            if time.monotonic() - reported > REPORT_SECONDS:
                yield Progress(self.plan, tuple(pending), begun)
                pending, reported = [], time.monotonic()
        yield Progress(self.plan, tuple(pending), begun, State.COMPLETE)

    def _train(self, trainable: Trainable, goal: int, stop: Callable[[], bool]) -> bool:
        """Train up to the goal; False if told to stop before."""
        while self.at.step < goal:
            if stop():
                return False
            until = min((self.at.step // CHUNK + 1) * CHUNK, goal)
            for steps, lr in self.plan.stretches(self.at.step, until):
                began = time.perf_counter()
                loss = float(trainable.train(steps, lr))
                took = time.perf_counter() - began
                self.unsaved += took
                total, count = self.at.partial
                partial = (total + loss * steps, count + steps)
                self.at = replace(self.at, step=self.at.step + steps, seconds=self.at.seconds + took, partial=partial)
        return True

    def _measure(self, trainable: Trainable) -> Point:
        """Evaluate where the training stands."""
        began = time.perf_counter()
        measured = {name: float(value) for name, value in trainable.evaluate().items()}
        if self.workload.target.name not in measured:
            there = ", ".join(sorted(measured))
            raise TaskError(f"evaluate: expected the metric {self.workload.target.name!r} among the results; there are: {there}")
        total, count = self.at.partial
        seconds = self.at.seconds + time.perf_counter() - began
        values = {"train_loss": total / count, **measured, "lr": self.plan.at(self.at.step - 1)}
        point = Point(self.at.step, values, seconds)
        self.at = replace(self.at, points=(*self.at.points, point), seconds=seconds, partial=(0.0, 0))
        return point

    def _save_if_due(self, trainable: Trainable) -> None:
        """At the end, where others may fork, and otherwise as often as it costs little."""
        step = self.at.step
        kept = step == self.plan.steps or step in self.keep or step % (self.every * FORK_EVERY) == 0
        if kept or self.unsaved > self.saving / SAVING_SHARE:
            self._save(trainable, kept)

    def _save(self, trainable: Trainable, kept: bool = False) -> None:
        began = time.perf_counter()
        self.checkpoints.save(self.plan, replace(self.at, state=trainable.state()))
        self.checkpoints.drop(self.plan, self.passing)
        self.passing = () if kept else (self.at.step,)
        self.saving, self.unsaved = time.perf_counter() - began, 0.0
