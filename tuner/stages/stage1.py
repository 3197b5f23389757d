"""Stage 1: which learning rate, and how many steps?

The first stage of the text in method/004: constant rates on an exponential grid; the curve that falls fast and deep wins;
the step at which it has converged, with a safety margin, becomes the number of steps.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from studies.curves import HEALTHY
from studies.decision import Candidate, Decision
from studies.errors import StageError
from studies.plan import Plan, constant
from studies.trial import Metric, Trial
from studies.words import count
from tuner.stages import rules
from tuner.stages.evidence import candidate, decision, reason, show, sound
from tuner.stages.racing import Race, Rungs, race
from tuner.stages.stage import Elected, Results, Search

GRID = (1.0, 0.1, 0.01, 0.001, 0.0001, 0.00001)
"""The text's exponential grid."""

REFINEMENT = (5.0, 3.0, 0.7, 0.5, 0.3)
"""What the text inserts around a likely rate: 0.03, 0.05, 0.003, 0.005, 0.007 around 0.01."""

RUNGS = tuple(2 ** (-half / 2) for half in range(10, -1, -1))
"""Shares of the budget at which the race is judged: from 1/32 on, each 1.4 times the last. Bad rates show within percents of
the budget, and the last doubling is the dear one."""

WIDENINGS = 3
"""How many rates a grid may grow by on either side: from 1 that is up to 1000, where nothing trains."""

NARROWEST = 1.1
"""A grid grows by this factor at least, however close its last two rates lie: in three digits, less may be the same rate."""


@dataclass(frozen=True)
class Stage1(Search):
    """The learning-rate sweep.

    metric: decides. eval_examples: training examples from evaluation to evaluation; lengths are whole numbers of these.
    lrs: the rates of the sweep. max_steps: no curve is followed further. refine: insert points around the best.
    exhaustive: drop nothing, train every rate to the end. within: the nearest plan that can be trained, if there are bounds.
    early_looks: evaluations within the first interval.
    """

    metric: Metric
    eval_examples: float
    max_steps: int
    lrs: tuple[float, ...] = GRID
    refine: bool = False
    exhaustive: bool = False
    within: Callable[[Plan], Plan | None] = lambda plan: plan
    early_looks: int = 0
    name: str = "stage1"

    def conclude(self, start: Plan, results: Results) -> Decision:
        return self._decision(start, results, self._widened(start, results))

    def elect(self, start: Plan, results: Results, plan: Plan) -> Elected:
        """Its rate, followed from where the sweep left it until it has converged."""
        sweep = self._widened(start, results)
        if not any(trial.plan.lr == plan.lr for trial in sweep.finalists):
            sweep = self._sweep(start, results, [plan.lr])
        return self._elected(start, results, next(trial for trial in sweep.finalists if trial.plan.lr == plan.lr))

    def _widened(self, start: Plan, results: Results) -> Race:
        """The sweep, with what is wanted beyond the grid and around the best."""
        rates = self._rates(start, self.lrs)
        sweep = self._sweep(start, results, rates)
        while (new := self._beyond(rates, self._winner(sweep).plan.lr)) and self._rates(start, [new]) == [new]:
            rates = self._rates(start, [*rates, new])
            sweep = self._sweep(start, results, rates)
        if self.refine:
            best = self._winner(sweep).plan.lr
            rates = self._rates(start, [*rates, *(_round(best * factor) for factor in REFINEMENT)])
            sweep = self._sweep(start, results, rates)
        return sweep

    def most(self, start: Plan) -> list[Plan]:
        factors = (1.0, *REFINEMENT) if self.refine else (1.0,)
        rates = {*self.lrs, *(_round(min(self.lrs) * factor) for factor in factors)}
        return [constant(start, lr, self.max_steps) for lr in self._rates(start, rates)]

    def _rates(self, start: Plan, lrs: Iterable[float]) -> list[float]:
        """What can be trained of these, the highest first; of what lies outside of the bounds, the bound."""
        asked = [constant(start, lr, self.max_steps) for lr in lrs]
        return sorted({(self.within(plan) or plan).lr for plan in asked}, reverse=True)

    def _sweep(self, start: Plan, results: Results, rates: list[float]) -> Race:
        """Follow the rates until those still in the race have converged. Bad rates show within percents of the budget."""
        plans = [constant(start, lr, self.max_steps) for lr in rates]
        if self.exhaustive:
            trials = tuple(results.see(plans))
            sweep = Race(trials, tuple(trial for trial in trials if not trial.broken))
        else:
            rungs = Rungs(RUNGS, self.eval_examples, self.early_looks)
            sweep = race(self.metric, results, plans, rungs, enough=lambda trials: all(map(self._converged, trials)))
        if not sweep.finalists:
            raise StageError(_nothing_trains(sweep.trials))
        return sweep

    def _winner(self, sweep: Race) -> Trial:
        """Of the curves that fell deep the one that validates best; of its equals the one that converged first."""
        equals = rules.level(self.metric, rules.deep(self.metric, sweep.finalists, sweep.trials))
        return min(equals, key=lambda trial: (rules.convergence(self.metric, trial), -trial.plan.lr))

    def _converged(self, trial: Trial) -> bool:
        """Its convergence and the margin behind it lie within what has been seen."""
        return self._step_nums(trial) <= trial.last

    def _step_nums(self, trial: Trial) -> int:
        return rules.with_margin(rules.convergence(self.metric, trial), trial.plan.every(self.eval_examples))

    def _beyond(self, rates: list[float], best: float) -> float | None:
        """The next rate outside, if the best is the grid's first or last and the grid may still be widened."""
        for edge, inner in ((rates[0], rates[1:2]), (rates[-1], rates[-2:-1])):
            ratio = edge / inner[0] if inner else 10.0
            ratio = max(ratio, NARROWEST) if ratio > 1 else min(ratio, 1 / NARROWEST)
            outside = sum(rate > max(self.lrs) if ratio > 1 else rate < min(self.lrs) for rate in rates)
            if best == edge and outside < WIDENINGS:
                return _round(edge * ratio)
        return None

    def _elected(self, start: Plan, results: Results, won: Trial) -> Elected:
        asked = min(self._step_nums(won), self.max_steps)
        trial = results.of(constant(start, won.plan.lr, asked))
        if not sound(self.metric, [trial]):
            trial = self._measured_near(start, results, won, asked) or trial
        late = f"not converged within {self.max_steps} steps, the margin included: allow more with --max-steps"
        elsewhere = f"{self.metric.name} is no finite number at step {asked}: training ends at step {trial.plan.steps} instead"
        return Elected(
            label=f"lr {show(won.plan.lr)}",
            trials=[trial],
            marks={
                "converged": rules.convergence(self.metric, won),
                "step_nums": trial.plan.steps,
                "update_ratio": update_ratio(won),
            },
            warnings=(*(() if self._converged(won) else (late,)), *(() if trial.plan.steps == asked else (elsewhere,))),
        )

    def _measured_near(self, start: Plan, results: Results, won: Trial, asked: int) -> Trial | None:
        """The winner ended where it has a finite metric, as soon after this step as there is one, else as late before it."""
        every = start.every(self.eval_examples)
        ends = sorted(range(every, won.last + 1, every), key=lambda end: (end < asked, abs(end - asked)))
        ended = (results.of(constant(start, won.plan.lr, end)) for end in ends)
        return next((trial for trial in ended if sound(self.metric, [trial])), None)

    def _decision(self, start: Plan, results: Results, sweep: Race) -> Decision:
        metric, won, deep = self.metric, self._winner(sweep), rules.deep(self.metric, sweep.finalists, sweep.trials)
        elected = self._elected(start, results, won)
        [winner] = elected.trials
        others = (trial for trial in [*deep, *sweep.finalists] if trial is not won)
        second = next((trial for trial in others if math.isfinite(rules.height(metric, trial))), None)
        tie = second in rules.level(metric, deep)
        ratio = elected.marks["update_ratio"]
        how, margin = ("has converged", "the") if self._converged(won) else ("has settled only", "what fits of the")
        return decision(
            self.name,
            metric,
            elected.trials,
            results,
            sweep.steps_saved,
            rule="the training loss that falls fast and deep screens, validation decides; of equals the one that converged first",
            runner_up=second.plan if second else None,
            margin=metric.gain(rules.height(metric, won), rules.height(metric, second)) if second else None,
            tie=tie,
            warnings=tuple(self._warnings(start, sweep, won, elected)),
            words=(
                f"{show(won.plan.lr)} is the learning rate: of {count(len(sweep.trials), 'rate')} {len(deep)} fell deep, and of"
                f" these it {'converged first, with its equals in validation' if tie else 'validates best'}"
                f" ({metric.name} {show(rules.height(metric, won))}).",
                f"Its curve {how} at step {elected.marks['converged']}; with {margin} safety margin: {winner.plan.steps} steps.",
                *(
                    [f"Its updates move the weights by {show(ratio)} of their norm a step (rule of thumb: {HEALTHY:g})."]
                    if ratio
                    else []
                ),
            ),
            evidence=tuple(self._evidence(sweep, won, deep)),
            marks=elected.marks,
        )

    def _evidence(self, sweep: Race, won: Trial, deep: list[Trial]) -> Iterable[Candidate]:
        for trial in sorted(sweep.trials, key=lambda t: (t is not won, rules.better(self.metric, rules.height(self.metric, t)))):
            outcome = (
                "winner"
                if trial is won
                else self._beside(trial, won)
                if trial in deep
                else "its training loss did not fall as deep"
                if trial in sweep.finalists
                else f"left at step {trial.last}: it would not have caught up by step {self.max_steps}"
            )
            yield candidate(self.metric, f"lr {show(trial.plan.lr)}", [trial], outcome, trial not in sweep.finalists)

    def _beside(self, trial: Trial, won: Trial) -> str:
        ahead = self.metric.gain(*(rules.height(self.metric, one) for one in (trial, won))) > 0
        return f"fell as deep, {'as good in validation, but converged later' if ahead else 'no better in validation'}"

    def _warnings(self, start: Plan, sweep: Race, won: Trial, elected: Elected) -> Iterable[str]:
        rates, best = [trial.plan.lr for trial in sweep.trials], won.plan.lr
        if best in (max(rates), min(rates)):
            bounded = self._rates(start, [best * 10 if best == max(rates) else best / 10]) == [best]
            edge = "what can be trained" if bounded else "the grid, even after widening it"
            yield f"the best rate, {show(best)}, lies at the edge of {edge}"
        yield from elected.warnings
        if rules.overfits(self.metric, won):
            yield "validation gets worse again after its best, near which training is stopped"
        for trial in sweep.trials:
            if trial.broken:
                yield f"lr {show(trial.plan.lr)} {reason(trial)}"


def update_ratio(trial: Trial) -> float:
    """The median ratio of update norm to parameter norm along a path: method/004's cheap test of a rate."""
    values = [value for _, value in trial.curve("update_ratio") if math.isfinite(value)]
    return median(values) if values else 0.0


def _nothing_trains(trials: Iterable[Trial]) -> str:
    trials = sorted(trials, key=lambda trial: trial.plan.lr)
    told = "; ".join(f"lr {show(trial.plan.lr)} {reason(trial)}" for trial in trials)
    return f"stage1: no rate trains ({told}); mend the task, or sweep lower rates with --lrs"


def _round(lr: float) -> float:
    """Three significant digits: a grid of factors of ten stays one to a reader."""
    return float(f"{lr:.3g}")
