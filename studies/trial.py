"""What happened? Points on a path, and the trial that gathered them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from studies.plan import Plan
from studies.value import Value


class Metric(Value):
    """What decides: a metric's name (a key of the points' values) and the direction in which it is better."""

    name: str
    mode: Literal["min", "max"]

    def gain(self, value: float, over: float) -> float:
        """By how much `value` is better than `over` (negative: worse), in the metric's own unit."""
        return value - over if self.mode == "max" else over - value


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured when the path stood at `step`.

    step: optimizer updates so far.
    values: train_loss (mean since the last point), val_loss, the task's metrics, lr, update_ratio. May be NaN or inf.
    seconds: training this path took so far, shared beginnings included.
    """

    step: int
    values: Mapping[str, float]
    seconds: float = 0.0


class State(StrEnum):
    """Of a trial. Optuna's own, but that it has no word for divergence (kept there as PRUNED with the reason)."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    DIVERGED = "diverged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a runner reports of one plan that it was asked for.

    points: new ones, or again ones already reported; equal steps carry equal values.
    begun: the step from which training had to start when this piece of work began (0: nothing was shared).
    ended: None while it goes on; COMPLETE at the plan's end; DIVERGED; FAILED, with `error`, the traceback.
    """

    plan: Plan
    points: tuple[Point, ...] = ()
    begun: int = 0
    ended: Literal[State.COMPLETE, State.DIVERGED, State.FAILED] | None = None
    error: str = ""


@dataclass(frozen=True)
class Trial:
    """One row of a study: a plan (at its longest so far), and what is known of it.

    number: the row's number in its Optuna study.
    points: in the order of steps, from the start of the path, whoever trained it.
    begun: steps that were there already when the trial's own training began.
    error: the traceback of a FAILED trial, the reason of a DIVERGED one.
    """

    number: int
    plan: Plan
    state: State = State.RUNNING
    points: tuple[Point, ...] = ()
    begun: int = 0
    error: str = ""

    @property
    def last(self) -> int:
        """The last step that is known of; 0 before the first point."""
        return self.points[-1].step if self.points else 0

    @property
    def broken(self) -> bool:
        """It diverged or failed: there is no going on."""
        return self.state in (State.DIVERGED, State.FAILED)

    def curve(self, name: str, upto: float = math.inf) -> list[tuple[int, float]]:
        """(step, value) of one of the values, where it was measured, up to a step."""
        return [(point.step, point.values[name]) for point in self.points if point.step <= upto and name in point.values]

    def latest(self, name: str) -> float:
        """One of the values when it was last measured; NaN if it never was. At the end of its path, of the deciding metric: what
        training this plan again delivers."""
        return next((point.values[name] for point in reversed(self.points) if name in point.values), math.nan)
