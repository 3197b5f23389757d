"""Stage 3: does decaying the learning rate help, and how?

The third stage of the text in method/004. First the lazy schedule of fastText: linearly to zero from the first step. If it
gives no more than noise the terrain is flat, and that is the answer. If it helps, the classic decay is tuned: where it
starts (a little before the validation's peak), by what factor, how often. All of it forks from one trunk, the constant rate.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from studies.decision import Candidate, Decision
from studies.errors import StageError
from studies.plan import Plan, Segment
from studies.schedule import Cosine, Exponential, Linear, Schedule, Sqrt
from studies.trial import Metric, Trial
from tuner.stages import rules
from tuner.stages.evidence import (
    Verdict,
    beside,
    candidate,
    chance,
    cost,
    decision,
    gain,
    measured,
    over_seeds,
    reason,
    sample,
    show,
    sound,
    verdict,
    with_seeds,
)
from tuner.stages.stage import Elected, Results, Search, own

BEFORE = 0.9
"""Where decay starts: the text takes 2,700 where validation was best at 3,000."""

FACTORS = (0.5, 0.1)

MOVED = 0.25
"""A peak that moves back by more than this share of the path has "moved back far" (the text): decay later, too."""

LEADERS = 3


@dataclass(frozen=True)
class Tail:
    """A way to decay. rate: the schedule over so many steps. classic: the text's, in drops by a factor."""

    rate: Callable[[int], Schedule]
    classic: bool = False


@dataclass(frozen=True)
class Stage3(Search):
    """The learning-rate decay.

    starts: steps at which the decays begin; () for shortly before the peak. factors: of the exponential decay.
    intervals: steps between its drops; () for a quarter and an eighth of the tail. lazy_interval: steps between the
    recomputations of linear, cosine and square-root rates, or a tenth of their length, if that is less. repeats: seeds for each
    leader.
    """

    metric: Metric
    eval_examples: float
    starts: tuple[int, ...] = ()
    factors: tuple[float, ...] = FACTORS
    intervals: tuple[int, ...] = ()
    lazy_interval: int = 100
    repeats: int = 3
    name: str = "stage3"

    def conclude(self, start: Plan, results: Results) -> Decision:
        begins, left_out = placed(self.starts, start)
        if left_out and not begins:
            raise StageError(f"stage3: {left_out}")
        control, lazy = self._compared(start, results)
        if any(trial.broken for trial in control):
            broken = next(trial for trial in control if trial.broken)
            raise StageError(f"stage3: the constant rate itself {reason(broken)}; sweep lower rates in stage 1")
        helps = verdict(self.metric, [control, lazy], cheap=lambda trials: trials is lazy)
        if helps.tie or helps.place == 0 or len(lazy) < len(control):
            return self._flat(results, control, lazy, helps)
        peak = rules.peak(self.metric, control)
        tails = self._tails(start, results, peak)
        best = [trial.plan for trial in self._leaders(tails)]
        leaders = [lazy, *results.see_each(with_seeds(plan, self.repeats) for plan in best)]
        return self._decision(results, control, leaders, tails, peak)

    def _compared(self, start: Plan, results: Results) -> list[list[Trial]]:
        """The constant rate and the lazy one over shared seeds; the lazy one under the first alone if it is not ahead there. (A
        gain of twice one seed's deviation, about the least that three can tell from noise, is so overlooked one time in twelve.)
        """
        lazy = self._lazy(start)
        control, first = results.see_each([with_seeds(start, self.repeats), [lazy]])
        ahead = gain(self.metric, first, control).mean > 0
        return [control, results.see(with_seeds(lazy, self.repeats)) if ahead else first]

    def elect(self, start: Plan, results: Results, plan: Plan) -> Elected:
        """Its decay, to the end of the path, repeated with the other seeds."""
        plan = own(start, results, plan).to(start.steps)
        label = "constant" if plan == start else _label(plan)
        return Elected(label, results.see(with_seeds(plan, self.repeats)), {"start": _begin(plan)})

    def most(self, start: Plan) -> list[Plan]:
        tails = [plan for plan, _ in self.candidates(start, peak=start.steps * 2 // 3)]
        repeated = [start, self._lazy(start), *tails[: LEADERS - 1]]
        return [*tails, *(plan for leader in repeated for plan in with_seeds(leader, self.repeats))]

    def _lazy(self, start: Plan) -> Plan:
        """Linearly to zero from the first step (after a warm-up, if the start has one)."""
        warm = _begin(start)
        steps = start.steps - warm
        interval = min(self.lazy_interval, max(1, steps // 10))
        return start.upto(warm).then(Segment(steps=steps, rate=Linear(lr=start.lr, over=steps, interval=interval)))

    def _tails(self, start: Plan, results: Results, peak: int) -> list[Trial]:
        """The candidates at their ends, one seed each; with later starts if the best one's peak moved back far."""
        candidates = self.candidates(start, peak)
        trials = results.see([plan for plan, _ in candidates])
        alive = [trial for trial in trials if not trial.broken]
        if not alive or self.starts:
            return trials
        best = min(alive, key=lambda trial: (rules.better(self.metric, trial.latest(self.metric.name)), trial.number))
        if rules.peak(self.metric, [best]) - peak <= MOVED * start.steps:
            return trials
        tail = candidates[trials.index(best)][1]
        later = [self._fork(start, begin, tail) for begin in self._rounded(start, peak, (peak + start.steps) // 2)]
        known = {trial.plan for trial in trials}
        return trials + results.see([plan for plan in dict.fromkeys(later) if plan not in known])

    def candidates(self, start: Plan, peak: int) -> list[tuple[Plan, Tail]]:
        """The decays that are tried, besides the lazy one, and how each goes. The classic ones that begin before the old peak
        must have come down to half the rate when they get there (the text's one rule)."""
        tails, lazy = self._forked(start, peak), self._lazy(start)
        return [(plan, tail) for plan, tail in tails if plan != lazy and not (tail.classic and self._high(start, plan, peak))]

    def _forked(self, start: Plan, peak: int) -> list[tuple[Plan, Tail]]:
        begins = self._begins(start, peak)
        return [(self._fork(start, begin, tail), tail) for begin in begins for tail in self._shapes(start, begin)]

    def _high(self, start: Plan, plan: Plan, peak: int) -> bool:
        """Whether it leaves more than half of the rate at the old peak."""
        return _begin(plan) < peak < plan.steps and plan.at(peak) > start.lr / 2

    def _begins(self, start: Plan, peak: int) -> list[int]:
        if not self.starts:
            return self._rounded(start, int(BEFORE * peak))
        return placed(self.starts, start)[0]

    def _too_high(self, start: Plan, peak: int) -> list[str]:
        """What was asked for is not left out without a word."""
        tails = [_label(plan) for plan, tail in self._forked(start, peak) if tail.classic and self._high(start, plan, peak)]
        half = f"more than half of the rate would be left at step {peak}, where validation was best"
        return [f"{', '.join(tails)}: not tried, as {half}"] if tails else []

    def _rounded(self, start: Plan, *begins: int) -> list[int]:
        """Down to whole evaluation intervals, where the trunk has its checkpoints; within the last segment of the start."""
        every, warm = start.every(self.eval_examples), _begin(start)
        rounded = {max(warm + 1 if warm else every, begin // every * every) for begin in begins}
        return sorted(begin for begin in rounded if begin < start.steps)

    def _shapes(self, start: Plan, begin: int) -> list[Tail]:
        lr, steps = start.lr, start.steps - begin
        interval = min(self.lazy_interval, max(1, steps // 10))
        drops = self.intervals or tuple(sorted({max(1, steps // 8), max(1, steps // 4)}))
        return [
            *(
                Tail(lambda over, factor=factor, drop=drop: Exponential(lr=lr, factor=factor, interval=drop), classic=True)
                for factor in self.factors
                for drop in drops
            ),
            Tail(lambda over: Linear(lr=lr, over=over, interval=interval)),
            Tail(lambda over: Cosine(lr=lr, over=over, interval=interval)),
            Tail(lambda over: Sqrt(lr=lr, over=over, interval=interval)),
        ]

    def _fork(self, start: Plan, begin: int, tail: Tail) -> Plan:
        steps = start.steps - begin
        return start.upto(begin).then(Segment(steps=steps, rate=tail.rate(steps)))

    def _leaders(self, tails: list[Trial]) -> list[Trial]:
        """The best at the end. (Who leads before the decay wins it less than half of the time: nothing is dropped earlier.)"""
        alive = [trial for trial in tails if not trial.broken]
        return sorted(alive, key=lambda t: (rules.better(self.metric, t.latest(self.metric.name)), t.number))[: LEADERS - 1]

    def _flat(self, results: Results, control: list[Trial], lazy: list[Trial], helps: Verdict) -> Decision:
        """It does not help: the constant rate stays."""
        metric = self.metric
        gained = gain(metric, lazy, control).mean
        where = " under the first seed" if len(lazy) < len(control) else ""
        return decision(
            self.name,
            metric,
            control,
            results,
            rule=f"the lazy linear decay against the constant rate, {over_seeds(self.repeats)}: no gain beyond noise, no decay",
            runner_up=lazy[0].plan,
            margin=-gained if math.isfinite(gained) else None,
            tie=helps.tie,
            warnings=tuple(_broken(lazy)),
            words=(self._gained(control, lazy, helps.tie),),
            evidence=(
                candidate(metric, "constant", control, "winner"),
                candidate(metric, "linear from the first step", lazy, f"no gain{where}"),
            ),
            marks={"lazy_gain": gained if math.isfinite(gained) else 0.0},
        )

    def _gained(self, control: list[Trial], lazy: list[Trial], tie: bool) -> str:
        """What the lazy decay did, where it did not help."""
        if not sound(self.metric, lazy):
            broken = next((trial for trial in lazy if trial.broken), None)
            how = reason(broken) if broken else f"ended without a finite {self.metric.name}"
            return f"The lazy linear decay {how}. Whether decay helps is not known; the rate stays constant."
        before, after = (show(sample(self.metric, trials).mean) for trials in (control[: len(lazy)], lazy))
        seeds = " under the first seed" if len(lazy) < len(control) else ""
        taken = f"the lazy linear decay takes {self.metric.name} from {before} to {after}{seeds}"
        if tie:
            return f"Insensitive: {taken}, no more than {chance(self.repeats)}; the terrain is flat, and the rate stays constant."
        return f"Decay does not help: {taken}, which is worse; the rate stays constant."

    def _decision(
        self, results: Results, control: list[Trial], leaders: list[list[Trial]], tails: list[Trial], peak: int
    ) -> Decision:
        """leaders: the lazy schedule first."""
        metric = self.metric
        best = verdict(metric, leaders, cheap=lambda trials: (trials is not leaders[0], -_begin(trials[0].plan)))
        won, values = leaders[best.place][0].plan, sample(metric, leaders[best.place])
        before = measured(self.name, metric, control)
        spent = cost(results.seen.values())
        alike = f" The leaders differ by no more than {chance(self.repeats)}: a tie"
        tied = f"{alike}, so the simplest of those within a standard error of the best." if best.tie else ""
        return decision(
            self.name,
            metric,
            leaders[best.place],
            results,
            rule=f"finished decays only, {over_seeds(self.repeats)}; of equals the lazy one",
            runner_up=None if best.second is None else leaders[best.second][0].plan,
            margin=best.margin,
            tie=best.tie,
            warnings=(
                *filter(None, [placed(self.starts, control[0].plan)[1]]),
                *self._too_high(control[0].plan, peak),
                *_broken([trial for trials in [*leaders, tails] for trial in trials]),
            ),
            words=(
                f"Decay helps: {metric.name} {show(before.mean)} at the constant rate, {show(values.mean)} with {_label(won)}.",
                f"Validation at the constant rate was best at step {peak}; {len(tails)} decays were tried besides the lazy"
                f" one.{tied}",
                f"Every decay forks from one trunk: {spent.steps_trained} steps were trained, {spent.steps_shared} were there.",
            ),
            evidence=tuple(self._evidence(control, leaders, best.place, tails)),
            marks={"peak": peak, "start": _begin(won), "lazy_gain": metric.gain(sample(metric, leaders[0]).mean, before.mean)},
        )

    def _evidence(self, control: list[Trial], leaders: list[list[Trial]], place: int, tails: list[Trial]) -> Iterable[Candidate]:
        repeated = {trials[0].number for trials in leaders}
        yield candidate(self.metric, _label(leaders[place][0].plan), leaders[place], "winner")
        for trials in leaders:
            if trials is not leaders[place]:
                yield candidate(self.metric, _label(trials[0].plan), trials, beside(self.metric, trials, leaders[place]))
        for trial in sorted(tails, key=lambda trial: rules.better(self.metric, trial.latest(self.metric.name))):
            if trial.number not in repeated:
                yield candidate(self.metric, _label(trial.plan), [trial], "worse at its end")
        yield candidate(self.metric, "constant", control, "the control")


def placed(starts: Iterable[int], start: Plan) -> tuple[list[int], str]:
    """The starts at which there is a constant rate to decay (in the warm-up it would jump up), in order; and in words, which are
    no such steps, "" if there are none."""
    begins = sorted(begin for begin in starts if _begin(start) <= begin < start.steps)
    outside = ", ".join(str(begin) for begin in starts if begin not in begins)
    told = f"--starts: expected steps from {_begin(start)} to {start.steps - 1}, where the rate is constant; got {outside}"
    return begins, told if outside else ""


def _begin(plan: Plan) -> int:
    """The step at which the last segment begins."""
    return sum(segment.steps for segment in plan.segments[:-1])


def _label(plan: Plan) -> str:
    rate, begin = plan.segments[-1].rate, _begin(plan)
    how = f"x {rate.factor:g} every {rate.interval}" if isinstance(rate, Exponential) else rate.shape
    return f"{how} from {'the first step' if begin == 0 else f'step {begin}'}"


def _broken(trials: Iterable[Trial]) -> Iterable[str]:
    return {trial.number: f"{_label(trial.plan)} {reason(trial)}" for trial in trials if trial.broken}.values()
