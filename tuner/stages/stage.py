"""How does a stage run? It is asked what it wants next, until it wants nothing more; then it decides."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from studies.decision import Decision
from studies.plan import Plan
from studies.study import Study
from studies.trial import State, Trial
from tuner.runners.runner import Runner


class Stage(Protocol):
    """A stage maps a plan to a better plan.

    Both methods are pure functions of the results, whatever the order in which these arrived.
    """

    name: str

    def wants(self, start: Plan, trials: Sequence[Trial]) -> list[Plan]:
        """Every plan whose end it needs to see, as far as it can tell from these results; those already there included.
        When nothing among them is new, the stage is ready to decide."""

    def decide(self, start: Plan, trials: Sequence[Trial]) -> Decision:
        """The written decision.

        Raises: StageError if these results decide nothing (every rate diverged), saying what to try.
        """


class Results:
    """The trials of a study, asked by path: what is known of this plan?"""

    def __init__(self, trials: Iterable[Trial]):
        self._lines: dict[str, Trial] = {}
        for trial in sorted(trials, key=lambda trial: trial.number):
            known = self._lines.get(trial.plan.line)
            if known is None or (len(trial.points), trial.number) >= (len(known.points), known.number):
                self._lines[trial.plan.line] = trial

    def of(self, plan: Plan) -> Trial | None:
        """The trial that went along this path to its end, cut there; or that broke on the way. None: not yet there."""
        trial = self._lines.get(plan.line)
        if trial is None:
            return None
        if trial.last < plan.steps and not trial.broken:
            return None
        if trial.last <= plan.steps:
            return trial
        points = tuple(point for point in trial.points if point.step <= plan.steps)
        state = State.COMPLETE if trial.broken else trial.state
        return Trial(trial.number, plan, state, points, min(trial.begun, plan.steps))

    def unfinished(self, plans: Iterable[Plan]) -> list[Plan]:
        """Those whose end nobody has seen yet."""
        return [plan for plan in plans if self.of(plan) is None]


def run_stage(stage: Stage, start: Plan, study: Study, runner: Runner) -> Decision:
    """Ask, run, ask again; then decide.

    Raises: StageError, BusyError, StorageError, Interrupted; what was reported before is kept.
    """
    while plans := Results(trials := study.trials()).unfinished(stage.wants(start, trials)):
        study.plan(plans)
        runner.run(plans, study.record)
    decision = stage.decide(start, trials)
    study.decide(decision)
    return decision
