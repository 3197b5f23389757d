"""How are plans carried out? From the deepest state on the path, to the end, point by point."""

import math
import time
import traceback
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

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

LOOK_SECONDS = 0.2
"""Training goes on for about this long between two looks up, to see whether to stop."""

Ending = tuple[State | None, str]


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

    eval_examples: training examples between two evaluations. keep: steps at which a state must be left. stop: asked
    several times a second; when it says so, the training saves at its step and returns without having ended.

    Raises: StorageError if a state cannot be kept. What the task raises ends its plan as FAILED.
    """
    for plan in cohort:
        at = checkpoints.deepest(plan) or Checkpoint(0, {})
        yield from Run(workload, plan, checkpoints, plan.every(eval_examples), frozenset(keep), device, at).go(stop)
        if stop():
            return


@dataclass
class Run:
    """One plan under way.

    every: steps between evaluations. at: where it stands. fresh: points not yet reported. passing: the state that the next
    one makes superfluous. saving: seconds the last one took; unsaved: seconds of training since then. pace: seconds a step.
    """

    workload: Workload
    plan: Plan
    checkpoints: Checkpoints
    every: int
    keep: frozenset[int]
    device: str
    at: Checkpoint
    fresh: list[Point] = field(default_factory=list)
    passing: tuple[int, ...] = ()
    saving: float = 0.0
    unsaved: float = 0.0
    pace: float = LOOK_SECONDS

    def go(self, stop: Callable[[], bool]) -> Iterator[Progress]:
        begun = self.at.step
        yield Progress(self.plan, self.at.points, begun)
        try:
            ended, error = yield from self._work(begun, stop)
        except StorageError:
            raise
        except (Exception, SystemExit):
            ended, error = State.FAILED, traceback.format_exc()
        yield Progress(self.plan, tuple(self.fresh), begun, ended, error)

    def _work(self, begun: int, stop: Callable[[], bool]) -> Generator[Progress, None, Ending]:
        """Train, evaluate and save from where it stands; reports on the way, and how it ended."""
        if begun == self.plan.steps:
            return State.COMPLETE, ""
        trainable = self.workload.trainable(self.plan, self.device)
        if begun:
            trainable.restore(self.at.state)
        reported = time.monotonic()
        while self.at.step < self.plan.steps:
            if not self._train(trainable, self._goal(), stop):
                if self.at.step > begun:
                    self._save(trainable)
                return None, ""
            if self._at_point():
                self._measure(trainable)
                loss = self.fresh[-1].values["train_loss"]
                if not math.isfinite(loss):
                    return State.DIVERGED, f"train loss is {loss} at step {self.at.step}"
            self._save_if_due(trainable)
            if self.fresh and time.monotonic() - reported > REPORT_SECONDS:
                yield Progress(self.plan, tuple(self.fresh), begun)
                self.fresh, reported = [], time.monotonic()
        return State.COMPLETE, ""

    def _goal(self) -> int:
        """The next step at which there is something to do besides training."""
        wanted = [step for step in self.keep if step > self.at.step]
        return min((self.at.step // self.every + 1) * self.every, self.plan.steps, *wanted)

    def _at_point(self) -> bool:
        return self.at.step % self.every == 0 or self.at.step == self.plan.steps

    def _train(self, trainable: Trainable, goal: int, stop: Callable[[], bool]) -> bool:
        """Train up to the goal; False if told to stop before."""
        while self.at.step < goal:
            if stop():
                return False
            until = self.at.step + max(1, int(LOOK_SECONDS / self.pace))
            for steps, lr in self.plan.stretches(self.at.step, min(until, goal)):
                began = time.perf_counter()
                loss = float(trainable.train(steps, lr))
                took = time.perf_counter() - began
                self.unsaved, self.pace = self.unsaved + took, max(took / steps, 1e-7)
                total, count = self.at.partial
                partial = (total + loss * steps, count + steps)
                self.at = replace(self.at, step=self.at.step + steps, seconds=self.at.seconds + took, partial=partial)
        return True

    def _measure(self, trainable: Trainable) -> None:
        """Add the point where the training stands."""
        began = time.perf_counter()
        total, count = self.at.partial
        # Losses have no more digits than single precision; the rest would tell where the path was cut into pieces.
        loss = torch.tensor(total / count, dtype=torch.float32).item()
        measured = self._evaluated(trainable, must=math.isfinite(loss))
        seconds = self.at.seconds + time.perf_counter() - began
        own = {"train_loss": loss, "lr": self.plan.at(self.at.step - 1)}
        point = Point(self.at.step, own | measured | own, seconds)
        self.fresh.append(point)
        # A plan's end between two regular evaluations is an extra point: whoever goes on from there counts from the regular one.
        partial = (0.0, 0) if self.at.step % self.every == 0 else self.at.partial
        self.at = replace(self.at, points=(*self.at.points, point), seconds=seconds, partial=partial)

    def _evaluated(self, trainable: Trainable, must: bool) -> dict[str, float]:
        """What the trainable measures now; nothing if it raises and need not: metrics of a diverged model often do.

        Raises: TaskError if the metric is not there.
        """
        try:
            measured = {name: float(value) for name, value in trainable.evaluate().items()}
        except Exception:
            if must:
                raise
            return {}
        name = self.workload.target.name
        if name not in measured:
            there = ", ".join(sorted(measured))
            raise TaskError(f"evaluate: expected the metric {name!r} among the results; there are: {there}")
        return measured

    def _save_if_due(self, trainable: Trainable) -> None:
        """At the end, where others may fork, and otherwise as often as it costs little."""
        step = self.at.step
        kept = step == self.plan.steps or step in self.keep or step % (self.every * FORK_EVERY) == 0
        if kept or self.unsaved > self.saving / SAVING_SHARE:
            self._save(trainable, kept)

    def _save(self, trainable: Trainable, kept: bool = False) -> None:
        began = time.perf_counter()
        self.checkpoints.save(self.plan, replace(self.at, state=trainable.state()))
        self.checkpoints.drop(self.plan, set(self.passing) - {self.at.step})  # told to stop where it has just saved
        self.passing = () if kept else (self.at.step,)
        self.saving, self.unsaved = time.perf_counter() - began, 0.0
