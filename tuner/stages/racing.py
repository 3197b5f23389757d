"""Who goes on? Trials of different lengths, compared; the hopeless ones left behind.

The one rule is pace. A trial that took k times the steps to get where the leader got will, at the end of the budget,
stand where the leader stood at 1/k of it. If the leader is past that place already, more steps for that trial would be
spent for nothing. Being ahead counts in either of two curves, the training loss and the validation: rates that
generalise better than they fit are judged by what they are good at.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from studies.plan import Plan
from studies.trial import Metric, Trial
from tuner.stages.rules import Curve, best_so_far, descending
from tuner.stages.stage import Results

FEWEST = 4
"""Evaluations that a curve must have before it is judged."""


@dataclass(frozen=True)
class Race:
    """trials: where each contender has come to, in their order; finalists: those that went as far as any."""

    trials: tuple[Trial, ...]
    finalists: tuple[Trial, ...]

    @property
    def steps_saved(self) -> int:
        """Steps that those left behind were spared: as far, in examples, as the finalists went."""
        furthest = max(trial.plan.examples for trial in self.trials)
        return sum(furthest // trial.plan.batch_size - trial.last for trial in self.trials if not trial.broken)


@dataclass(frozen=True)
class Rungs:
    """The lengths at which a race is judged.

    shares: of the whole path, ascending, the last one 1. eval_examples: training examples between evaluations; every
    length is a whole number of these intervals.
    """

    shares: tuple[float, ...]
    eval_examples: float

    def cut(self, plan: Plan, share: float) -> Plan:
        every = plan.every(self.eval_examples)
        return plan.upto(min(plan.steps, max(FEWEST, math.ceil(share * plan.steps / every)) * every))


def race(
    metric: Metric,
    results: Results,
    plans: Sequence[Plan],
    rungs: Rungs,
    enough: Callable[[list[Trial]], bool] = lambda hopeful: False,
) -> Race:
    """Follow the plans from rung to rung, leaving the hopeless behind, until the end, or until the hopeful are `enough`.

    Nothing is left for ever: when the leader diverges later on, those it had outrun are hopeful again and go on. Without
    finalists, everything broke.
    """
    horizon = max(plan.examples for plan in plans)
    trials = results.see([rungs.cut(plan, rungs.shares[0]) for plan in plans])
    for share in rungs.shares:
        ends = [rungs.cut(plan, share) for plan in plans]
        while behind := [i for i in hopeful(metric, trials, horizon) if trials[i].last < ends[i].steps]:
            for i, trial in zip(behind, results.see([ends[i] for i in behind])):
                trials[i] = trial
        finalists = [trial for trial, end in zip(trials, ends) if trial.last >= end.steps and not trial.broken]
        if enough([trials[i] for i in hopeful(metric, trials, horizon)]):
            break
    return Race(tuple(trials), tuple(finalists))


def hopeful(metric: Metric, trials: Sequence[Trial], horizon: float) -> list[int]:
    """Places of those that may still win by `horizon` training examples; broken ones may not.

    Trials may have come to different lengths, and batch sizes may differ: paths are measured in examples.
    """
    alive = [i for i, trial in enumerate(trials) if not trial.broken]
    losses = [_by_examples(trials[i], trials[i].curve("train_loss")) for i in alive]
    scores = [_by_examples(trials[i], descending(metric, trials[i].curve(metric.name))) for i in alive]
    return [i for i, by_loss, by_score in zip(alive, _on_pace(losses, horizon), _on_pace(scores, horizon)) if by_loss or by_score]


def _by_examples(trial: Trial, curve: Curve) -> list[tuple[float, float]]:
    return best_so_far([(step * trial.plan.batch_size, value) for step, value in curve])


def _on_pace(falls: Iterable[Curve], horizon: float) -> list[bool]:
    """For each of the falling curves: will it, at the pace it kept, be past the leader's present place by the horizon?"""
    falls = list(falls)
    measured = [fall for fall in falls if fall]
    if not measured:
        return [False] * len(falls)
    leader = min(measured, key=lambda fall: (fall[-1][1], fall[-1][0]))
    present = _reached(leader, leader[-1][1])
    return [bool(fall) and _reached(leader, fall[-1][1]) * horizon / fall[-1][0] >= present for fall in falls]


def _reached(fall: Curve, value: float) -> float:
    """Where a falling curve first got as low as `value`."""
    return next((place for place, low in fall if low <= value), math.inf)
