"""Hand-drawn curves: a training whose loss and accuracy are given as functions, carried out in no time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from studies.decision import Decision
from studies.plan import Plan
from studies.trial import Metric, Point, Progress, State, Trial

ACCURACY = Metric(name="accuracy", mode="max")
Draw = Callable[[Plan, int], tuple[float, float]]
"""(plan, step) -> (training loss, accuracy); a loss that is not finite is a divergence."""


@dataclass
class Notebook:
    """A study in memory (studies.study.Study)."""

    rows: list[Trial] = field(default_factory=list)
    decision: Decision | None = None

    def plan(self, plans: Sequence[Plan]) -> None:
        for plan in plans:
            at = self._row(plan)
            if at is None:
                self.rows.append(Trial(len(self.rows), plan))
            else:
                self.rows[at] = Trial(at, plan, points=self.rows[at].points)

    def record(self, progress: Progress) -> None:
        at = self._row(progress.plan)
        state = progress.ended if progress.ended in (State.DIVERGED, State.FAILED) else State.RUNNING
        self.rows[at] = Trial(at, progress.plan, state, progress.points, progress.begun, progress.error)

    def trials(self) -> list[Trial]:
        return list(self.rows)

    def decide(self, decision: Decision) -> None:
        self.decision = decision

    def _row(self, plan: Plan) -> int | None:
        return next((i for i, row in enumerate(self.rows) if row.plan.line == plan.line), None)


@dataclass
class Pencil:
    """A runner that draws curves instead of training (tuner.runners.runner.Runner). asked: all it was asked to run."""

    draw: Draw
    eval_examples: int
    backwards: bool = False
    asked: list[Plan] = field(default_factory=list)

    def run(self, plans: Sequence[Plan], record: Callable[[Progress], None], company: Sequence[Plan] = ()) -> None:
        self.asked += plans
        for plan in reversed(plans) if self.backwards else plans:
            record(self._drawn(plan))

    def _drawn(self, plan: Plan) -> Progress:
        every, points = plan.every(self.eval_examples), []
        for step in sorted({*range(every, plan.steps + 1, every), plan.steps}):
            loss, accuracy = self.draw(plan, step)
            points.append(Point(step, {"train_loss": loss, "accuracy": accuracy, "update_ratio": plan.lr}, step / 1000))
            if not math.isfinite(loss):
                return Progress(plan, tuple(points), ended=State.DIVERGED, error=f"train loss is {loss} at step {step}")
        return Progress(plan, tuple(points), ended=State.COMPLETE)


def falling(speed: float, depth: float, best: float) -> Callable[[int], tuple[float, float]]:
    """A loss from 2.3 down to `depth` and an accuracy up to `best`, exponentially with `speed` a step."""

    def at(step: int) -> tuple[float, float]:
        left = math.exp(-speed * step)
        return depth + (2.3 - depth) * left, best - (best - 0.1) * left

    return at
