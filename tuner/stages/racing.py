"""Who goes on? Trials of different lengths, compared; the hopeless ones left behind.

Validation decides in the end, so it decides here. A trial is hopeless if it fails either of two questions:

Pace. A trial that took k times the steps to get where the leader got will, at the end of the budget, stand where the leader
stood at 1/k of it. If the leader is past that place already, more steps would be spent for nothing.

The gap. What curves gain, they gain by doublings of the steps. If at the best rate per doubling at which the trial has
ever closed its gap to the leader, the gap would still be open at the end, it will not be closed. A trial that is less than
one doubling behind is not asked: such a gap is small beside what both still gain, and turns easily.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from studies.curves import Curve, best_so_far
from studies.plan import Plan
from studies.trial import Metric, Trial
from tuner.stages.rules import descending
from tuner.stages.stage import Results

FEWEST = 4
"""Evaluations that a curve must have before it is judged."""

DOUBLINGS = 3
"""Doublings of the steps, from its first evaluation on, that a curve must have gone through before its gap is judged."""


@dataclass(frozen=True)
class Race:
    """trials: where each contender has come to, in their order; finalists: those that may still win."""

    trials: tuple[Trial, ...]
    finalists: tuple[Trial, ...]

    def __add__(self, other: "Race") -> "Race":
        """Both, whoever may still win of either."""
        return Race((*self.trials, *other.trials), (*self.finalists, *other.finalists))

    @property
    def steps_saved(self) -> int:
        """Steps that those left behind were spared: as far, in examples, as whoever went furthest."""
        furthest = max(trial.plan.examples for trial in self.trials)
        left = [trial for trial in self.trials if not trial.broken and trial not in self.finalists]
        return sum(furthest // trial.plan.batch_size - trial.last for trial in left)


@dataclass(frozen=True)
class Rungs:
    """The lengths at which a race is judged.

    shares: of the whole path, ascending, the last one 1. eval_examples: training examples between evaluations; lengths are
    whole numbers of these intervals. early_looks: evaluations within the first of them. fewest: beyond every rung only the
    better third goes on, but no fewer than this (successive halving, arXiv:1502.07943, by thirds as in arXiv:1603.06560);
    None: all the hopeful. A third is told apart without much of a curve: a rung may then lie before the first interval's end.
    """

    shares: tuple[float, ...]
    eval_examples: float
    early_looks: int = 0
    fewest: int | None = None

    def cut(self, plan: Plan, share: float) -> Plan:
        every, early = plan.every(self.eval_examples), plan.early(self.eval_examples, self.early_looks)
        end = math.ceil(share * plan.steps)
        if self.fewest and end < every and sum(step < end for step in early) + 1 >= FEWEST:
            return plan.upto(end)
        return plan.upto(min(plan.steps, max(FEWEST - len(early), math.ceil(share * plan.steps / every)) * every))

    def quota(self, contenders: int, place: int) -> int:
        """How many of them may go on to the rung at this place."""
        return contenders if self.fewest is None else max(self.fewest, math.ceil(contenders / 3**place))

    def most(self, plans: Sequence[Plan]) -> list[Plan]:
        """How far the plans go at most: the longest are the last to be left."""
        dear = sorted(plans, key=lambda plan: plan.steps, reverse=True)
        cuts = [self.cut(plan, self.shares[0]) for plan in dear]
        for place, share in enumerate(self.shares):
            for i in range(min(len(dear), self.quota(len(dear), place))):
                cuts[i] = self.cut(dear[i], share)
        return cuts


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
    ends = [[rungs.cut(plan, share) for plan in plans] for share in rungs.shares]
    trials = results.see(ends[0])
    for place, goals in enumerate(ends):
        quota = rungs.quota(len(plans), place)
        while behind := [
            i
            for i in set(_ranked(metric, trials, ends[:place])[:quota]) & set(hopeful(metric, trials, horizon))
            if trials[i].plan.steps < goals[i].steps
        ]:
            for i, trial in zip(behind, results.see([goals[i] for i in behind])):
                trials[i] = trial
        left = [trials[i] for i in hopeful(metric, trials, horizon)]
        if enough(left):
            return Race(tuple(trials), tuple(left))
    finalists = [trial for trial, end in zip(trials, ends[-1]) if trial.plan.steps >= end.steps and not trial.broken]
    return Race(tuple(trials), tuple(finalists))


def _ranked(metric: Metric, trials: Sequence[Trial], rungs: Sequence[Sequence[Plan]]) -> list[int]:
    """Places of those that did not break: first who passed most of these rungs, of them the best at the last one passed,
    of equals the one with the fewest steps."""

    def standing(i: int) -> tuple[int, float, int, int]:
        passed = [rung[i] for rung in rungs if trials[i].plan.steps >= rung[i].steps]
        fall = _fall(metric, trials[i])
        return -len(passed), _at(fall, passed[-1].examples) if passed and fall else math.inf, passed[-1].steps if passed else 0, i

    return sorted((i for i, trial in enumerate(trials) if not trial.broken), key=standing)


def hopeful(metric: Metric, trials: Sequence[Trial], horizon: float) -> list[int]:
    """Places of those that may still win by `horizon` training examples; broken ones may not.

    Trials may have come to different lengths, and batch sizes may differ: paths are measured in examples.
    """
    falls = {i: _fall(metric, trial) for i, trial in enumerate(trials) if not trial.broken}
    falls = {i: fall for i, fall in falls.items() if fall}
    if not falls:
        return []
    leader = min(falls.values(), key=lambda fall: (fall[-1][1], fall[-1][0]))
    began = max(filter(math.isfinite, (fall[0][1] for fall in falls.values())), default=leader[0][1])
    leader = [(0, began), *leader]  # it began where the slowest was seen first
    return [i for i, fall in falls.items() if _on_pace(fall, leader, horizon) and _closing(fall, leader, horizon)]


def _fall(metric: Metric, trial: Trial) -> list[tuple[float, float]]:
    curve = descending(metric, trial.curve(metric.name))
    return best_so_far([(step * trial.plan.batch_size, value) for step, value in curve])


def _on_pace(fall: Curve, leader: Curve, horizon: float) -> bool:
    """Will it, at the pace it kept, be past the leader's present place by the horizon?"""
    return _reached(leader, fall[-1][1]) * horizon / fall[-1][0] >= _reached(leader, leader[-1][1])


def _closing(fall: Curve, leader: Curve, horizon: float) -> bool:
    """Is it near the leader, or will it be, at the best rate per doubling at which it came nearer?"""
    present, behind = fall[-1][0], _reached(leader, fall[-1][1])
    first = max(fall[0][0], leader[1][0])  # of a large batch, that may lie beyond where a small one is by now
    if 2 * behind >= min(present, _reached(leader, leader[-1][1])) or present < max(first, 2**DOUBLINGS * fall[0][0]):
        return True
    places = [present / 2**n for n in range(1 + int(math.log2(present / first)))]
    gaps = [_at(fall, place) - _at(leader, place) for place in places]
    if not all(map(math.isfinite, gaps)):
        return True
    closed = max((before - after for after, before in zip(gaps, gaps[1:])), default=math.inf)
    return gaps[0] <= closed * math.log2(horizon / present)


def _reached(fall: Curve, value: float) -> float:
    """Where a falling curve first got as low as `value`; on the way to its first evaluation, at an even pace."""
    (_, high), (first, low) = fall[:2]
    if high >= value >= low:
        return first * (high - value) / max(high - low, 1e-300)
    return next((place for place, low in fall if low <= value), math.inf)


def _at(fall: Curve, place: float) -> float:
    """How low a falling curve was at a place."""
    return fall[max(0, bisect_right(fall, place, key=lambda point: point[0]) - 1)][1]
