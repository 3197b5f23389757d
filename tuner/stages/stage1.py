"""Stage 1: which learning rate, and how many steps?

The first stage of the text in method/004: constant rates on an exponential grid; the curve that falls fast and deep wins;
the step at which it has converged, with a safety margin, becomes the number of steps.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from studies.decision import Candidate, Decision
from studies.errors import StageError
from studies.plan import Plan, constant
from studies.trial import Metric, Trial
from tuner.stages import rules
from tuner.stages.evidence import better, candidate, cost, reason, show
from tuner.stages.racing import hopeful
from tuner.stages.stage import Results, Search

GRID = (1.0, 0.1, 0.01, 0.001, 0.0001, 0.00001)
"""The text's exponential grid."""

REFINEMENT = (5.0, 3.0, 0.7, 0.5, 0.3)
"""What the text inserts around a likely rate: 0.03, 0.05, 0.003, 0.005, 0.007 around 0.01."""

WIDENINGS = 3
"""How many rates a grid may grow by on either side: from 1 that is up to 1000, where nothing trains."""

DEPTH = 0.05
"""A loss curve counts as deep if it has made all but this share of the deepest one's descent: the loss screens, validation
decides. On recorded sweeps the deepest loss alone names the wrong rate one time in six."""


@dataclass(frozen=True)
class Sweep:
    """Where the rates of a sweep have come to. trials: at their longest; finalists: those that were not dropped."""

    trials: tuple[Trial, ...]
    finalists: tuple[Trial, ...]
    deep: tuple[Trial, ...]
    winner: Trial


@dataclass(frozen=True)
class Stage1(Search):
    """The learning-rate sweep.

    metric: decides. eval_examples: training examples from evaluation to evaluation; lengths are whole numbers of these.
    lrs: the rates of the sweep. max_steps: no curve is followed further. refine: insert points around the best.
    exhaustive: drop nothing, train every rate to the end.
    """

    metric: Metric
    eval_examples: float
    max_steps: int
    lrs: tuple[float, ...] = GRID
    refine: bool = False
    exhaustive: bool = False
    name: str = "stage1"

    def conclude(self, start: Plan, results: Results) -> Decision:
        rates = sorted(set(self.lrs), reverse=True)
        sweep = self._sweep(start, results, rates)
        while new := self._beyond(rates, sweep.winner.plan.lr):
            rates = sorted({*rates, new}, reverse=True)
            sweep = self._sweep(start, results, rates)
        if self.refine:
            rates = sorted({*rates, *(_round(sweep.winner.plan.lr * factor) for factor in REFINEMENT)}, reverse=True)
            sweep = self._sweep(start, results, rates)
        return self._decision(start, results, sweep)

    def _sweep(self, start: Plan, results: Results, rates: list[float]) -> Sweep:
        """Follow the rates to one length, leave the hopeless behind, double the length; until those left have converged.

        Nothing is dropped for ever: when the leader diverges later on, those it had outrun are hopeful again.
        """
        length = self.max_steps if self.exhaustive else self._first_length(start)
        trials = dict(zip(rates, results.see([constant(start, lr, length) for lr in rates])))
        while True:
            going = [t for t in trials.values() if not t.broken] if self.exhaustive else self._hopeful(start, trials.values())
            if not going:
                raise StageError(_nothing_trains(trials.values()))
            if behind := [trial.plan.lr for trial in going if trial.last < length]:
                trials |= zip(behind, results.see([constant(start, lr, length) for lr in behind]))
            elif length < self.max_steps and not all(self._converged(start, trial) for trial in going):
                length = min(2 * length, self.max_steps)
            else:
                deep = self._deep(going)
                return Sweep(tuple(trials.values()), tuple(going), tuple(deep), self._pick(deep))

    def _first_length(self, start: Plan) -> int:
        """A sixteenth of the budget, and no less than four evaluations: bad rates show within percents of the budget."""
        every = start.every(self.eval_examples)
        return min(self.max_steps, max(4, math.ceil(self.max_steps / 16 / every)) * every)

    def _hopeful(self, start: Plan, trials: Iterable[Trial]) -> list[Trial]:
        return hopeful(self.metric, trials, self.max_steps * start.batch_size)

    def _converged(self, start: Plan, trial: Trial) -> bool:
        """Its convergence and the margin behind it lie within what has been seen."""
        return self._step_nums(start, trial) <= trial.last

    def _step_nums(self, start: Plan, trial: Trial) -> int:
        return rules.with_margin(rules.convergence(self.metric, trial), start.every(self.eval_examples))

    def _deep(self, trials: list[Trial]) -> list[Trial]:
        """Those whose training loss fell deep; the best validating first."""
        falls = [rules.best_so_far(trial.curve("train_loss")) for trial in trials]
        deepest = min(fall[-1][1] for fall in falls)
        highest = max((fall[0][1] for fall in falls if math.isfinite(fall[0][1])), default=deepest)
        deep = [t for t, fall in zip(trials, falls) if fall[-1][1] <= deepest + DEPTH * (highest - deepest)]
        return sorted(deep, key=lambda trial: (*better(self.metric, rules.late(self.metric, trial)), -trial.plan.lr))

    def _pick(self, deep: list[Trial]) -> Trial:
        """The one that validates best; of those that differ from it by no more than a run's own wobble, the one that
        converged first."""
        return min(self._level(deep), key=lambda trial: (rules.convergence(self.metric, trial), -trial.plan.lr))

    def _level(self, deep: list[Trial]) -> list[Trial]:
        """Those that cannot be told from the best: within two standard deviations of the wobble of both curves."""
        best = deep[0]
        noise = {t.plan.lr: 2 * math.hypot(rules.wobble(self.metric, t), rules.wobble(self.metric, best)) for t in deep}
        return [t for t in deep if self._behind(best, t) <= noise[t.plan.lr]]

    def _behind(self, best: Trial, trial: Trial) -> float:
        return self.metric.gain(rules.late(self.metric, best), rules.late(self.metric, trial))

    def _beyond(self, rates: list[float], best: float) -> float | None:
        """The next rate outside, if the best is the grid's first or last and the grid may still be widened."""
        for edge, inner in ((rates[0], rates[1:2]), (rates[-1], rates[-2:-1])):
            ratio = edge / inner[0] if inner else 10.0
            outside = sum(rate > max(self.lrs) if ratio > 1 else rate < min(self.lrs) for rate in rates)
            if best == edge and outside < WIDENINGS:
                return _round(edge * ratio)
        return None

    def _decision(self, start: Plan, results: Results, sweep: Sweep) -> Decision:
        won, metric = sweep.winner, self.metric
        step_nums = min(self._step_nums(start, won), self.max_steps)
        winner = results.of(constant(start, won.plan.lr, step_nums))
        others = [trial for trial in sweep.deep if trial is not won] or [t for t in sweep.finalists if t is not won]
        second = min(others, key=lambda trial: better(metric, rules.late(metric, trial)), default=None)
        tie = second is not None and second in sweep.deep and len(self._level(list(sweep.deep))) > 1
        converged = rules.convergence(metric, won)
        longest = max(trial.last for trial in sweep.trials)
        ratio = update_ratio(won)
        return Decision(
            stage=self.name,
            question="Which learning rate, and how many steps?",
            metric=metric,
            winner=winner.plan,
            value=rules.final(metric, winner),
            rule="the training loss that falls fast and deep screens, validation decides; of equals the one that converged first",
            runner_up=second.plan if second else None,
            margin=self._behind(won, second) if second else None,
            tie=tie,
            warnings=tuple(self._warnings(start, sweep)),
            words=(
                f"{show(won.plan.lr)} is the learning rate: of {len(sweep.trials)} rates, {len(sweep.deep)} fell deep, and of"
                f" {'those' if len(sweep.deep) > 1 else 'these'} it {'converged first among equals' if tie else 'validates best'}"
                f" ({metric.name} {show(rules.late(metric, won))}).",
                f"Its curve has converged at step {converged}; with the safety margin that makes {step_nums} steps.",
                f"Its updates move the weights by {show(ratio)} of their norm a step; near 1e-3 is the rule of thumb.",
            ),
            evidence=self._evidence(sweep, won),
            marks={"converged": converged, "step_nums": step_nums, "update_ratio": ratio},
            cost=cost(results.seen.values(), sum(longest - trial.last for trial in sweep.trials)),
        )

    def _evidence(self, sweep: Sweep, won: Trial) -> tuple[Candidate, ...]:
        def outcome(trial: Trial) -> str:
            if trial is won:
                return "winner"
            if trial not in sweep.finalists:
                return f"dropped at step {trial.last}: it could not catch up by step {self.max_steps}"
            return "fell as deep, no better in validation" if trial in sweep.deep else "its training loss did not fall as deep"

        ranked = sorted(sweep.trials, key=lambda trial: (trial is not won, better(self.metric, rules.late(self.metric, trial))))
        return tuple(
            candidate(self.metric, f"lr {show(trial.plan.lr)}", [trial], outcome(trial), trial not in sweep.finalists)
            for trial in ranked
        )

    def _warnings(self, start: Plan, sweep: Sweep) -> Iterable[str]:
        best, rates = sweep.winner.plan.lr, [trial.plan.lr for trial in sweep.trials]
        if best in (max(rates), min(rates)):
            yield f"the best rate, {show(best)}, lies at the edge of the grid even after widening it"
        if not self._converged(start, sweep.winner):
            yield f"not converged within {self.max_steps} steps (with the margin): allow more with --max-steps"
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
