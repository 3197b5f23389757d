"""What does a decision rest on? Candidates, their cost, and how they are put into words."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from studies.decision import QUESTIONS, Candidate, Cost, Decision
from studies.errors import StageError
from studies.plan import Plan
from studies.trial import Metric, State, Trial
from studies.words import last_line
from tuner.stages.rules import Noise, Sample, better, noise, wobble
from tuner.stages.stage import Results

SINGLE = 2**-22
"""Means of single precision that differ by no more than this share of them are equal, but for rounding."""


def sample(metric: Metric, trials: Sequence[Trial]) -> Sample:
    """The metric at the end of one plan, over its seeds."""
    return Sample(tuple(trial.latest(metric.name) for trial in trials))


def sound(metric: Metric, trials: Sequence[Trial]) -> bool:
    """None of them broke, and each ended with a finite number."""
    return sample(metric, trials).finite and not any(trial.broken for trial in trials)


def measured(stage: str, metric: Metric, trials: Sequence[Trial]) -> Sample:
    """A sample that the stage cannot decide without.

    Raises: StageError if one of its values is no finite number.
    """
    values = sample(metric, trials)
    for value, trial in zip(values.values, trials):
        if not math.isfinite(value):
            where = f"at step {trial.plan.steps}, the end of lr {show(trial.plan.lr)} with seed {trial.plan.seed}"
            raise StageError(f"{stage}: {metric.name} is {value} {where}: mend metrics(), or take another --metric")
    return values


def decision(stage: str, metric: Metric, won: Sequence[Trial], results: Results, saved: int = 0, **told: Any) -> Decision:
    """A decision, by what all have in common. won: the winner's trials, one a seed; saved: see `cost`; told: the rest of it.

    Raises: StageError if the winner's metric is no finite number.
    """
    values = measured(stage, metric, won)
    return Decision(
        stage=stage,
        question=QUESTIONS[stage],
        metric=metric,
        winner=won[0].plan,
        value=values.mean,
        interval=values.interval,
        values=values.values,
        cost=cost(results.seen.values(), saved),
        **told,
    )


def candidate(metric: Metric, label: str, trials: Sequence[Trial], outcome: str, pruned: bool = False) -> Candidate:
    """One row of the evidence: a plan, trained with one or more seeds; the first trial's plan stands for all."""
    values = sample(metric, trials)
    broken = next((trial for trial in trials if trial.broken), None)
    state = broken.state if broken else State.PRUNED if pruned else State.COMPLETE
    return Candidate(
        label=label,
        plan=trials[0].plan,
        trials=tuple(trial.number for trial in trials),
        value=values.mean if values.finite and not broken else None,
        interval=None if broken else values.interval,
        state=state,
        outcome=reason(broken) if broken else outcome,
    )


def reason(trial: Trial) -> str:
    """Why a trial is out, in a few words: the last line of its error; without one, there was nothing to judge it by."""
    if not trial.broken:
        return "never had a finite metric"
    last = last_line(trial.error) or "no reason kept"
    return f"{'diverged' if trial.state is State.DIVERGED else 'failed'}: {last}"[:200]


def cost(trials: Iterable[Trial], saved: int = 0) -> Cost:
    """What these trials took. saved: steps that were not trained because they could not have changed the answer."""
    trials = list(trials)
    trained = [max(0, trial.last - trial.begun) for trial in trials]
    return Cost(
        trials=len(trials),
        steps_trained=sum(trained),
        steps_shared=sum(min(trial.begun, trial.last) for trial in trials),
        steps_saved=max(0, saved),
        examples_trained=sum(steps * trial.plan.batch_size for steps, trial in zip(trained, trials)),
        seconds=round(sum(_seconds(trial) for trial in trials), 3),
    )


def _seconds(trial: Trial) -> float:
    before = max((point.seconds for point in trial.points if point.step <= trial.begun), default=0.0)
    return max(0.0, trial.points[-1].seconds - before) if trial.points else 0.0


def with_seeds(plan: Plan, repeats: int) -> list[Plan]:
    """The plan under `repeats` shared seeds: its own, and those that follow."""
    return [plan.but(seed=plan.seed + i) for i in range(repeats)]


def over_seeds(repeats: int) -> str:
    """How often a plan is trained, in words."""
    return f"over {repeats} shared seeds" if repeats > 1 else "under one seed"


def chance(repeats: int) -> str:
    """What a difference has to be larger than, in words."""
    return "seed noise" if repeats > 1 else "a single run's noise"


def show(value: float | None) -> str:
    """A number for a reader: four significant digits."""
    return "unknown" if value is None or not math.isfinite(value) else f"{value:.4g}"


@dataclass(frozen=True)
class Verdict:
    """Who won. place: among the leaders; tie: it had equals; second: the place of the best of the others; margin: by how
    much the winner's value is better than that one's (negative if it was cheaper, and about as good)."""

    place: int
    tie: bool
    second: int | None
    margin: float | None


def verdict(metric: Metric, leaders: Sequence[Sequence[Trial]], cheap: Callable[[Sequence[Trial]], Any]) -> Verdict:
    """Compare leaders over shared seeds (a list of trials each, of which some may have fewer).

    It is a tie if another differs from the best by no more than seed noise. That they cannot be told apart does not make them
    equals: the lowest `cheap` is taken of those within one standard error of the best (Breiman et al. 1984, Classification and
    Regression Trees, 3.4.3). With one seed, the wobble of single runs stands for the noise. What is not sound never wins.

    Raises: StageError if nothing is.
    """
    samples = [sample(metric, trials) for trials in leaders]
    fit = [i for i, trials in enumerate(leaders) if sound(metric, trials)]
    ranked = sorted(fit, key=lambda i: better(metric, samples[i].mean))
    if not ranked:
        told = f"every leader diverged, failed or ended without a finite {metric.name}, with one seed at least"
        raise StageError(f"{told}; lower the rates, or mend the task")
    best = ranked[0]
    seeds = noise([samples[i] for i in fit]) or Noise(max(wobble(metric, leaders[i][0]) for i in fit), math.inf)
    behind = {i: metric.gain(samples[best].mean, samples[i].mean) for i in ranked}
    equals = [i for i in ranked if behind[i] <= seeds.error(samples[best], samples[i])]
    winner = min(equals, key=lambda i: (cheap(leaders[i]), ranked.index(i)))
    tie = any(behind[i] <= seeds.reach(samples[best], samples[i]) for i in ranked[1:])
    second = next((i for i in ranked if i != winner), None)
    margin = None if second is None else behind[second] - behind[winner]
    rounding = margin is not None and abs(margin) <= SINGLE * abs(samples[winner].mean)
    return Verdict(winner, tie, second, 0.0 if rounding else margin)


def repeated(
    metric: Metric, results: Results, leaders: Sequence[Plan], repeats: int, cheap: Callable[[Sequence[Trial]], Any]
) -> tuple[list[list[Trial]], Verdict]:
    """The leaders' trials over shared seeds, and who won: whoever would win is repeated with the other seeds, and whoever is
    ahead of a cheaper one that would, until they all have been.

    One seed's value, which made a leader of it, flatters; who is behind with that is not repeated.

    Raises: Unseen, StageError.
    """
    seeds = [1 for _ in leaders]
    while True:
        trials = results.see_each(map(with_seeds, leaders, seeds))
        won = verdict(metric, trials, cheap)
        in_front = [won.place, won.second] if won.second is not None and won.margin < 0 else [won.place]
        if all(seeds[place] == repeats for place in in_front):
            return trials, won
        for place in in_front:
            seeds[place] = repeats


def beside(metric: Metric, trials: Sequence[Trial], won: Sequence[Trial]) -> str:
    """How a leader did beside the one that won, in words."""
    if not sample(metric, trials).finite:
        return f"ended without a finite {metric.name}"
    if metric.gain(sample(metric, trials).mean, sample(metric, won).mean) > 0:
        return "about as good, but dearer"
    return "repeated with other seeds, not better" if len(trials) > 1 else "by its one run no better"


@dataclass(frozen=True)
class Gain:
    """What one training gives over another. mean, interval: of the metric, paired by seed, better being more; slower: its time a
    step is so many times the other's, the median over the seeds."""

    mean: float
    interval: tuple[float, float] | None
    slower: float

    @property
    def words(self) -> str:
        told = f" ({show(self.interval[0])} to {show(self.interval[1])})" if self.interval else ""
        return f"{'gains' if self.mean >= 0 else 'loses'} {show(abs(self.mean))}{told}"


def gain(metric: Metric, trials: Sequence[Trial], base: Sequence[Trial]) -> Gain:
    """Of the ends of one training over those of another, seed by seed; minus infinity for one that broke."""
    pairs = list(zip(trials, base))
    if any(trial.broken for trial in trials):
        return Gain(-math.inf, None, math.nan)
    paired = Sample(tuple(metric.gain(one.latest(metric.name), other.latest(metric.name)) for one, other in pairs))
    slower = median(_pace(one) / max(_pace(other), 1e-12) for one, other in pairs)
    return Gain(paired.mean if paired.finite else -math.inf, paired.interval, slower)


def _pace(trial: Trial) -> float:
    """Seconds a step."""
    return trial.points[-1].seconds / trial.last if trial.last else 0.0
