"""How does a stage run? It is asked what it wants next, until it wants nothing more; then it decides."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from studies.decision import Decision
from studies.errors import StageError
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

    def most(self, start: Plan) -> list[Plan]:
        """The plans that it will want at most, if no surprise makes it look further: what a forecast is made of."""


class Unseen(Exception):
    """These results are not there yet: the plans whose ends have to be seen before the search can go on."""

    def __init__(self, plans: Sequence[Plan]):
        super().__init__(f"{len(plans)} plans")
        self.plans = list(plans)


class Results:
    """The trials of a study, asked by path: what is known of this plan?"""

    def __init__(self, trials: Iterable[Trial]):
        self.seen: dict[str, Trial] = {}
        """The trials that `see` was asked for so far, at their full lengths, by line: what a decision rests on."""
        self._lines: dict[str, Trial] = {}
        for trial in sorted(trials, key=lambda trial: trial.number):
            known = self._lines.get(trial.plan.line)
            if known is None:
                self._lines[trial.plan.line] = trial
            elif trial.last >= known.last:  # a closed row that goes on in a new one is one path still
                self._lines[trial.plan.line] = replace(trial, begun=min(trial.begun, known.begun))

    def of(self, plan: Plan) -> Trial | None:
        """The trial that went along this path to its end, cut there; or that broke on the way. None: not yet there."""
        trial = self._lines.get(plan.line)
        if trial is None:
            return None
        # The last point of what diverged is where it broke.
        stood = trial.points[:-1] if trial.state is State.DIVERGED else trial.points
        if not stood or stood[-1].step < plan.steps:
            return trial if trial.broken else None
        points = tuple(point for point in trial.points if point.step <= plan.steps)
        return replace(trial, plan=plan, state=State.COMPLETE, points=points, begun=min(trial.begun, plan.steps))

    def see(self, plans: Sequence[Plan]) -> list[Trial]:
        """The trials of these plans, in their order.

        Raises: Unseen, with all of them, if one has not been to its end.
        """
        trials = [self.of(plan) for plan in plans]
        if None in trials:
            raise Unseen(plans)
        self.seen |= {plan.line: self._lines[plan.line] for plan in plans}
        return trials

    def see_each(self, groups: Iterable[Sequence[Plan]]) -> list[list[Trial]]:
        """The trials of each group of plans; what is missing in any of them is wanted at once."""
        groups = list(groups)
        self.see([plan for plans in groups for plan in plans])
        return [self.see(plans) for plans in groups]


@dataclass(frozen=True)
class Elected:
    """A winner as its stage takes it.

    label: how the stage calls it. trials: one a seed, ended after the number of steps that its curve asks for.
    marks: named numbers for the figures. warnings: what is wrong with it.
    """

    label: str
    trials: Sequence[Trial]
    marks: Mapping[str, float]
    warnings: tuple[str, ...] = ()


class Search:
    """A stage written as one text: `conclude` reads results as if all were there; what is missing is what it wants.

    As the search is a pure function of the results, stopping it at the first thing that it cannot see and beginning
    anew when that is there comes to the same as waiting inside it; nothing has to be kept in between.
    """

    name: str

    def conclude(self, start: Plan, results: Results) -> Decision:
        """The written decision. Raises: Unseen (by way of results.see), StageError."""
        raise NotImplementedError

    def elect(self, start: Plan, results: Results, plan: Plan) -> Elected:
        """A plan that is to win whatever the rule says; results have been concluded from. Raises: Unseen, StageError."""
        raise NotImplementedError

    def most(self, start: Plan) -> list[Plan]:
        """See Stage."""
        raise NotImplementedError

    def wants(self, start: Plan, trials: Sequence[Trial]) -> list[Plan]:
        try:
            self.conclude(start, Results(trials))
        except Unseen as missing:
            return missing.plans
        except StageError:
            return []
        return []

    def decide(self, start: Plan, trials: Sequence[Trial]) -> Decision:
        return self.conclude(start, Results(trials))


def own(start: Plan, results: Results, plan: Plan) -> Plan:
    """The plan under the start's seed, if it is one that a search from this start has looked at.

    Raises: StageError if it is none.
    """
    plan = plan.but(seed=start.seed)
    if plan.line not in results.seen:
        raise StageError(
            "it is no trial of this stage any more, which starts from another winner or is asked for other values now"
        )
    return plan


def run_stage(
    stage: Stage, start: Plan, study: Study, runner: Runner, heeding: Callable[[Stage], Stage] = lambda stage: stage
) -> Decision:
    """Ask, run, ask again; then decide. heeding: the stage as people want it by now.

    Raises: StageError, BusyError, StorageError, Interrupted; what was reported before is kept.
    """
    while True:
        trials, asked = study.trials(), heeding(stage)
        results = Results(trials)
        wanted = asked.wants(start, trials)
        plans = [plan for plan in wanted if results.of(plan) is None]
        if not plans:
            break
        study.plan(plans)
        runner.run(plans, study.record, wanted)
    decision = asked.decide(start, trials)
    study.decide(decision)
    return decision
