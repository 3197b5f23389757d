"""Stage 2: which batch size and which momentum, jointly?

The second stage of the text in method/004: both act on the noise of the gradient, so they are searched together, by grid or
at random, raced by thirds; loss curves screen, validation decides; a rate that was scaled is checked where it landed; then the
number of steps is trimmed, or extended for a smaller batch.
How the rate follows the batch is method/003 (Goyal et al. 2017, arXiv:1706.02677). Budgets are counted in examples.
"""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from studies.decision import Candidate, Decision
from studies.errors import StageError
from studies.plan import Plan, Segment
from studies.schedule import Constant, Warmup
from studies.trial import Metric, Trial
from studies.words import count
from tuner.stages import rules
from tuner.stages.evidence import (
    Verdict,
    beside,
    candidate,
    chance,
    decision,
    over_seeds,
    reason,
    repeated,
    sample,
    show,
    sound,
    with_seeds,
)
from tuner.stages.racing import Race, Rungs, race
from tuner.stages.stage import Elected, Results, Search, own

BATCH_SIZES = (32, 64, 128, 256)
MOMENTA = (0.0, 0.5, 0.9, 0.95)

SUMMING = ("sgd", "nesterov", "heavyball", "rmsprop", "lars")
"""Optimizers whose momentum sums up their steps, so that a lasting direction is followed at lr / (1 - m); Adam's kin averages."""

LEADERS = 3
"""How many go the whole way: the pair in which stage 1 looked, which has gone it, and the best of the others. And how many may
be repeated with other seeds: the best, the next, and the cheapest of those a single run cannot tell from it."""

RUNGS = (1 / 9, 1 / 3, 1.0)
"""Shares of the path after which the better third of the pairs goes on; the first lies beyond the warm-up. This is sound
here as it is not in stage 1: at an equal effective rate, curves over examples run side by side until the rule breaks."""

NEARBY = (3.0, 0.3)
"""Rates tried around one that was scaled (the text's points around a likely rate): the rules of scaling hold over a range
that differs from task to task (Shallue et al. 2019, arXiv:1811.03600). The better one goes on beside the leader, if not
hopeless: a low rate is behind at first, and on one of eight recorded tables it is the right one."""

GROWTH = 2.0
"""A rate that grew more than this is warmed up to: method/003 sees the linear rule break early in training. Whether it grew
with the batch or as the momentum fell: momentum itself is a warm-up, of 1/(1 - m) steps, that a lower one lacks."""

WARMUP_SHARE = 5 / 90
"""Share of the path that warming up takes: the paper's 5 epochs of 90."""

LENGTHENED = 2.0
"""The number of steps may grow by so much when the winner has not converged."""

Scaling = Literal["linear", "sqrt", "none"]


@dataclass(frozen=True)
class Stage2(Search):
    """The search over batch size and momentum, around the cell in which stage 1 looked (which it gets for nothing).

    search: "grid" takes all pairs, "random" draws `samples` pairs from the ranges that the lists span (log-uniform in the
    batch size and in 1 - momentum). lr_scaling: how the rate follows the batch; warmup: up to a rate that grew; warmup_shape: by
    a rate that grows, or by the old one, which method/003 has found good for fine-tuning, detection and segmentation.
    repeats: seeds for each leader, the first included. exhaustive: leave nobody behind. within: the nearest plan that can be
    trained, if there are bounds; None if there is none. early_looks: evaluations within the first interval.
    """

    metric: Metric
    eval_examples: float
    batch_sizes: tuple[int, ...] = BATCH_SIZES
    momenta: tuple[float, ...] = MOMENTA
    search: Literal["grid", "random"] = "grid"
    samples: int = 12
    lr_scaling: Scaling = "linear"
    warmup: bool = True
    repeats: int = 3
    exhaustive: bool = False
    within: Callable[[Plan], Plan | None] = lambda plan: plan
    early_looks: int = 0
    warmup_shape: Literal["gradual", "constant"] = "gradual"
    name: str = "stage2"

    def conclude(self, start: Plan, results: Results) -> Decision:
        search = self._search(start, results)
        plans = [trial.plan for trial in self._leaders(start, search)]
        leaders, won = repeated(self.metric, results, plans, self.repeats, cheap=lambda trials: _price(start, trials[0].plan))
        elected = self._elected(results, leaders[won.place][0])
        return self._decision(start, results, search, leaders, won, elected)

    def elect(self, start: Plan, results: Results, plan: Plan) -> Elected:
        """Its pair and rate, taken to the end of the path and repeated with the other seeds."""
        plan = own(start, results, plan)
        whole = plan.to(self._length(start, plan))
        return self._elected(results, results.see(with_seeds(self.within(whole) or whole, self.repeats))[0])

    def most(self, start: Plan) -> list[Plan]:
        plans = self._plans(start)
        leaders = sorted(plans, key=lambda plan: plan.steps)[-LEADERS:]
        searched = plans if self.exhaustive else [start, *self._rungs.most(plans[1:])]
        nearby = self._nearby(start, leaders[-1], NEARBY)
        return [*searched, *nearby, *(plan for leader in leaders for plan in with_seeds(leader, self.repeats)[1:])]

    def cells(self, start: Plan) -> list[tuple[int, float]]:
        """The pairs that are tried: the start's own first."""
        own = (start.batch_size, start.momentum)
        if self.search == "grid":
            pairs = [(batch, momentum) for batch in self.batch_sizes for momentum in self.momenta]
        else:
            draw = random.Random(start.seed)
            pairs = [self._draw(draw) for _ in range(self.samples)]
        return [own, *sorted({pair for pair in pairs if pair != own})]

    def _plans(self, start: Plan) -> list[Plan]:
        """The cells as plans, within the bounds; what cannot be trained is left out."""
        asked = [self.at(start, *cell) for cell in self.cells(start)]
        return list(dict.fromkeys([start, *filter(None, map(self.within, asked[1:]))]))

    def _draw(self, draw: random.Random) -> tuple[int, float]:
        batch = math.exp(draw.uniform(math.log(min(self.batch_sizes)), math.log(max(self.batch_sizes))))
        slip = math.exp(draw.uniform(math.log(1 - max(self.momenta)), math.log(1 - min(self.momenta))))
        return max(1, round(batch)), min(max(self.momenta), round(1 - slip, 3))  # never 1

    def at(self, start: Plan, batch_size: int, momentum: float) -> Plan:
        """The start with this cell's batch size and momentum: as many examples, the rate scaled, warmed up to if it grew."""
        cell = start.but(segments=(), batch_size=batch_size, momentum=momentum)
        if cell == start.upto(0):
            return start
        growth = (batch_size / start.batch_size) ** {"linear": 1.0, "sqrt": 0.5, "none": 0.0}[self.lr_scaling]
        slip = (1 - momentum) / (1 - start.momentum) if self.lr_scaling != "none" and start.optimizer in SUMMING else 1.0
        lr = float(f"{start.lr * growth * slip:.6g}")
        steps = self._length(start, cell)
        if growth * slip <= GROWTH or not self.warmup:
            return cell.then(Segment(steps=steps, rate=Constant(lr=lr)))
        warm = max(1, round(WARMUP_SHARE * steps))
        gradual = self.warmup_shape == "gradual"
        rate = Warmup(start=start.lr, lr=lr, over=warm) if gradual else Constant(lr=start.lr)
        return cell.then(Segment(steps=warm, rate=rate)).then(Segment(steps=max(1, steps - warm), rate=Constant(lr=lr)))

    def _length(self, start: Plan, cell: Plan) -> int:
        """As many examples as the start has, in steps of this cell."""
        if cell.upto(0) == start.upto(0):
            return start.steps
        every = cell.every(self.eval_examples)
        return max(1, math.ceil(start.examples / cell.batch_size / every)) * every

    @property
    def _rungs(self) -> Rungs:
        return Rungs(RUNGS, self.eval_examples, self.early_looks, fewest=LEADERS - 1)

    def _search(self, start: Plan, results: Results) -> Race:
        """The pairs against each other, for the places beside the start's own, which is there whole; then the rate of the best,
        where scaling made it, against its neighbours."""
        there, others = tuple(results.see([start])), self._plans(start)[1:]
        search = Race(there, tuple(trial for trial in there if not trial.broken))
        if others:
            search += self._race(results, others)
        if not search.finalists:
            told = "; ".join(f"{_label(trial.plan)} {reason(trial)}" for trial in search.trials)
            raise StageError(f"stage2: nothing trains ({told}); mend the task, or try --lr-scaling none")
        best, factors = rules.deep(self.metric, search.finalists, search.trials)[0], NEARBY
        while near := self._nearby(start, best.plan, factors):
            around = self._race(results, [best.plan, *near])
            search += Race(around.trials[1:], tuple(trial for trial in around.finalists if trial.plan != best.plan))
            ranked = rules.deep(self.metric, search.finalists, search.trials)
            if best in rules.level(self.metric, ranked):
                break
            best, factors = ranked[0], [factor for plan, factor in near.items() if plan == ranked[0].plan]
        return search

    def _race(self, results: Results, plans: list[Plan]) -> Race:
        if not self.exhaustive:
            return race(self.metric, results, plans, self._rungs)
        trials = tuple(results.see(plans))
        return Race(trials, tuple(trial for trial in trials if not trial.broken))

    def _nearby(self, start: Plan, plan: Plan, factors: Iterable[float]) -> dict[Plan, float]:
        """The plan at so many times its rate, by these factors; nothing for a rate that was not scaled."""
        if self.lr_scaling == "none" or plan.upto(0) == start.upto(0):
            return {}
        near = {self.within(_scaled(plan, factor)): factor for factor in factors}
        return {found: factor for found, factor in near.items() if found and found != plan}

    def _leaders(self, start: Plan, search: Race) -> list[Trial]:
        """Of different pairs: each stands for itself at the best of its rates."""
        pairs: dict[Plan, Trial] = {}
        for trial in rules.deep(self.metric, search.finalists, search.trials):
            pairs.setdefault(trial.plan.upto(0), trial)
        ranked = list(pairs.values())
        equals = [trial for trial in rules.level(self.metric, ranked) if trial not in ranked[:2]]
        cheapest = sorted(equals, key=lambda trial: _price(start, trial.plan))
        return [*ranked[:2], *cheapest][:LEADERS]

    def _lengthened(self, results: Results, trial: Trial) -> Trial:
        """The winner, followed on while it has not converged, up to the limit."""
        every = trial.plan.every(self.eval_examples)
        longest = self.within(trial.plan.to(math.floor(trial.plan.steps * LENGTHENED)))
        limit = (longest.steps if longest else 0) // every * every
        while self._step_nums(trial) > trial.plan.steps and trial.plan.steps < limit:
            [longer] = results.see([trial.plan.to(min(self._step_nums(trial), limit))])
            if longer.broken:
                break
            trial = longer
        return trial

    def _step_nums(self, trial: Trial) -> int:
        return rules.with_margin(rules.convergence(self.metric, trial), trial.plan.every(self.eval_examples))

    def _elected(self, results: Results, trial: Trial) -> Elected:
        """The trial, at the number of steps that its curve asks for, with the other seeds; where it was compared, if one of these
        breaks on the way, or has no finite metric there."""
        lasting = self._lengthened(results, trial)
        step_nums = min(self._step_nums(lasting), lasting.plan.steps)
        trials = results.see(with_seeds(trial.plan.to(max(step_nums, _beyond_warmup(trial.plan))), self.repeats))
        if not sound(self.metric, trials):
            lasting, trials = trial, results.see(with_seeds(trial.plan, self.repeats))
        late = f"not converged within {lasting.plan.steps} steps, the margin included"
        return Elected(
            label=_label(trial.plan),
            trials=trials,
            marks={"converged": rules.convergence(self.metric, lasting), "step_nums": trials[0].plan.steps},
            warnings=(late,) if self._step_nums(lasting) > lasting.plan.steps else (),
        )

    def _decision(
        self, start: Plan, results: Results, search: Race, leaders: list[list[Trial]], won: Verdict, elected: Elected
    ) -> Decision:
        metric, plan = self.metric, leaders[won.place][0].plan
        winner = elected.trials[0].plan
        again = sum(len(trials) > 1 for trials in leaders)
        change = "is trimmed to" if winner.steps < plan.steps else "grows to" if winner.steps > plan.steps else "stays"
        return decision(
            self.name,
            metric,
            elected.trials,
            results,
            search.steps_saved,
            rule=f"the training loss screens, validation {over_seeds(self.repeats)} decides; of equals the fewest steps",
            runner_up=None if won.second is None else leaders[won.second][0].plan,
            margin=won.margin,
            tie=won.tie,
            warnings=tuple(self._warnings(start, search, winner, elected)),
            words=(
                f"Batch size {winner.batch_size} with momentum {show(winner.momentum)} (rate {show(winner.lr)}): of"
                f" {count(len(search.trials), 'candidate')} {len(search.finalists)} went the whole way"
                f"{f', {again} with several seeds' if again else ''}; {metric.name} {show(sample(metric, elected.trials).mean)}.",
                _told(won, chance(self.repeats), len(leaders)) if len(search.trials) > 1 else "It was the only one.",
                f"The curve has {'settled only' if elected.warnings else 'converged'} at step {elected.marks['converged']}: the"
                f" number of steps {change} {winner.steps}"
                + (f"; the candidates were compared at {plan.steps}." if winner.steps != plan.steps else "."),
            ),
            evidence=tuple(self._evidence(search, leaders, won.place)),
            marks=elected.marks,
        )

    def _evidence(self, search: Race, leaders: list[list[Trial]], place: int) -> Iterable[Candidate]:
        first, deep = {trials[0].number for trials in leaders}, rules.deep(self.metric, search.finalists, search.trials)
        for trials in sorted(leaders, key=lambda trials: trials is not leaders[place]):
            outcome = "winner" if trials is leaders[place] else beside(self.metric, trials, leaders[place])
            yield candidate(self.metric, _label(trials[0].plan), trials, outcome)
        for trial in sorted(search.trials, key=lambda trial: rules.better(self.metric, rules.height(self.metric, trial))):
            if trial.number not in first:
                ahead = self.metric.gain(*(rules.height(self.metric, one) for one in (trial, leaders[place][0]))) > 0
                outcome = (
                    f"left at step {trial.last}: the better third went on"
                    if trial not in search.finalists
                    else "its training loss did not fall as deep"
                    if trial not in deep
                    else "about as good, but dearer"
                    if ahead
                    else "its curve validates worse"
                )
                yield candidate(self.metric, _label(trial.plan), [trial], outcome, trial not in search.finalists)

    def _warnings(self, start: Plan, search: Race, winner: Plan, elected: Elected) -> Iterable[str]:
        asked = [self.at(start, *cell) for cell in self.cells(start)]
        if moved := sum(self.within(plan) != plan for plan in asked[1:]):
            yield f"{moved} of {len(asked)} pairs cannot be trained as scaled: the nearest rate was taken, or they were left out"
        batches = sorted({trial.plan.batch_size for trial in search.trials})
        if len(batches) > 1 and winner.batch_size in (batches[0], batches[-1]):
            yield f"the best batch size, {winner.batch_size}, lies at the edge of the grid"
        yield from elected.warnings
        for trial in search.trials:
            if trial.broken:
                yield f"{_label(trial.plan)} {reason(trial)}"


def _scaled(plan: Plan, factor: float) -> Plan:
    """The plan at so many times its rates."""

    def times(part: Segment) -> Segment:
        rates = {name: float(f"{getattr(part.rate, name) * factor:.6g}") for name in ("lr", "start") if hasattr(part.rate, name)}
        return Segment(steps=part.steps, rate=part.rate.model_copy(update=rates))

    return plan.but(segments=tuple(map(times, plan.segments)))


def _label(plan: Plan) -> str:
    return f"batch {plan.batch_size}, momentum {show(plan.momentum)}, lr {show(plan.lr)}"


def _price(start: Plan, plan: Plan) -> tuple[int, float]:
    """What is cheaper at the same number of examples: fewer steps; then, what is known already."""
    return (plan.steps, abs(plan.momentum - start.momentum))


def _beyond_warmup(plan: Plan) -> int:
    """A path is not trimmed into its warm-up."""
    return sum(segment.steps for segment in plan.segments[:-1]) + 1


def _told(won: Verdict, noise: str, leaders: int) -> str:
    if won.margin is None:
        alone = "No other pair's training loss fell as deep to the end."
        return alone if leaders == 1 else "No other leader came to its end, with a finite metric, under every seed it was given."
    if won.tie:
        told = f"The leaders differ by no more than {noise} ({show(abs(won.margin))}): a tie"
        return f"{told}, so the one with the fewest steps of those within a standard error of the best."
    return f"Its margin over the next, {show(won.margin)}, is larger than {noise}."
