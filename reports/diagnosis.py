"""What ails a training? Rules over its curves: what was seen, what it means, and the command to try next.

The rules are those of method/001 (its picture of loss curves and the lists below it) and of method/004 (the update ratio). They
see nothing but curves, so they hold for whatever was trained, and need no torch. Where one curve alone cannot tell (one that goes
flat may simply have converged), the others of its stage are the witnesses.
"""

import math
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from reports.stages import StageResults
from reports.words import brief, number
from studies.curves import FLAT, HEALTHY, Curve, best_so_far, settled, smooth, tenth
from studies.plan import Plan
from studies.schedule import Constant
from studies.study import StudyRecord
from studies.trial import Metric, State, Trial

FEWEST = 6
"""Evaluations below which a curve has no shape yet."""

LAST = 5
"""Evaluations in which a metric that does not change at all is that of one answer for all."""

RISEN = 1.5
"""Times the loss that training begins with: above it the first steps have done harm. Noise between the first points of healthy
runs stays below 1.2."""

APART = 0.1
"""Of the descent that the stage's deepest curve made: so much is seen at a glance on a plot, and is no noise of a seed."""

SOONER = 3
"""Whoever came as deep in a third of the steps (about a factor of three in the rate, half a step of the usual grid) shows that
the rate was too low."""

STEADY = 0.35
"""Of the whole descent, in the second half of the path. A straight line has 0.5 there, an exponential that
converges less than 0.1."""

TREMBLE = 0.05
"""Of the descent: from one evaluation to the next, as a standard deviation. Each training loss is a mean over many steps, so
what is left of a healthy run's noise is below 0.01."""

MAGNITUDE = 10.0
"""method/001: overfitting is a training loss that is not of the same order of magnitude as validation's."""

RISES = "rises from the start"


@dataclass(frozen=True)
class Finding:
    """One thing that ails a training. name: of the rule; saw: the numbers and steps; means: what to conclude and do;
    command: what to try next."""

    name: str
    saw: str
    means: str
    command: str


@dataclass(frozen=True)
class Diagnosis:
    """A finding as the first of `trials` has it, and all of the stage's trials that have one of that name; winner: the
    decision's winner is among them."""

    finding: Finding
    trials: tuple[Trial, ...]
    winner: bool = False

    @property
    def who(self) -> str:
        """ "lr 0.1, batch 64, m 0.9, constant and 3 others" """
        others = len(self.trials) - 1
        return brief(self.trials[0].plan) + (f" and {others} other{'s' * (others > 1)}" if others else "")


def diagnoses(stage: StageResults, study: StudyRecord, decided: Collection[str]) -> tuple[Diagnosis, ...]:
    """What ails the trials of a stage, each finding once; the winner's first, then by the number of trials.

    decided: the study's stages that are, for the commands.
    """
    won = stage.decision.winner.line if stage.decision else None
    found: dict[str, list[tuple[Trial, Finding]]] = {}
    for trial in stage.trials:
        for finding in diagnose(trial, stage.metric, stage.trials, study, decided):
            found.setdefault(finding.name, []).append((trial, finding))
    told = []
    for cases in found.values():
        cases.sort(key=lambda case: (case[0].plan.line != won, case[0].number))
        told.append(Diagnosis(cases[0][1], tuple(trial for trial, _ in cases), cases[0][0].plan.line == won))
    return tuple(sorted(told, key=lambda one: (not one.winner, -len(one.trials))))


def diagnose(trial: Trial, metric: Metric, field: Sequence[Trial], study: StudyRecord, decided: Collection[str]) -> list[Finding]:
    """What ails one trial, the gravest first; [] for a healthy one, or one too short to tell.

    field: the trials of its stage, as witnesses. decided: the study's stages that are, for the commands.
    """
    case = Case(trial, metric, field, study, decided)
    if case.broke:
        return [case.rises()]
    if len(case.loss) > FEWEST / 2 and case.risen:  # a race leaves such a one early
        return [case.rises()]
    if len(case.loss) < FEWEST:
        return []
    if case.stuck:
        return [case.not_falling()]
    rate = case.sawtooth() or case.trembles() or case.plateau() or case.slow() or case.blind()
    return [finding for finding in (rate, case.overfits(), case.worsens()) if finding]


class Case:
    """One trial among those it can be compared with: the same batch size, momentum and optimizer, constant rates."""

    def __init__(self, trial: Trial, metric: Metric, field: Sequence[Trial], study: StudyRecord, decided: Collection[str]):
        self.trial, self.metric, self.study, self.decided = trial, metric, study, decided
        self.task, data = (str(study.settings.get(key) or "") for key in ("task", "data"))
        self.data = ("--data", data) if data else ()
        self.lr, self.end = trial.plan.lr, trial.last
        self.raw = [point for point in trial.curve("train_loss") if math.isfinite(point[1])]
        self.loss = smooth(self.raw)
        self.broke = trial.state is State.DIVERGED or any(not math.isfinite(v) for _, v in trial.curve("train_loss"))
        self.constant = _constant(trial.plan)
        self.peers = [other for other in field if other is not trial and other.points and _alike(other, trial)]

    @cached_property
    def initial(self) -> float:
        """The loss that training begins with: the first one of the lowest rate, which has hardly moved yet."""
        lowest = min((self.trial, *self.peers), key=lambda one: one.plan.lr)
        first = [value for _, value in lowest.curve("train_loss")[:1] if math.isfinite(value)]
        return first[0] if first else self.raw[0][1] if self.raw else math.nan

    @cached_property
    def deepest(self) -> float:
        """Where the deepest curve got to."""
        return min(_low(one.curve("train_loss")) for one in (self.trial, *self.peers))

    @cached_property
    def fall(self) -> float:
        """The descent that the deepest curve made; what is small is small against it."""
        return self.initial - self.deepest

    @property
    def risen(self) -> bool:
        early = median(value for _, value in self.raw[:3])
        late = _late(self.raw)
        if self.peers and self.initial > 0 and early > RISEN * self.initial:
            return True
        first = self.raw[0][1]
        return late - first > (RISEN - 1) * abs(first) and settled(self.raw) <= self.raw[1][0]  # below 0, too

    @property
    def stuck(self) -> bool:
        first = self.raw[0][1]
        highest, scale = max(first, self.initial), max(abs(first), abs(self.initial))
        return first - _late(self.raw) < FLAT * scale and highest - _low(self.raw) < 5 * FLAT * scale

    def rises(self) -> Finding:
        """method/001, the red line: the rate at the start is too high; lower it, and start again."""
        if self.broke:
            name = RISES if self.trial.last <= self.trial.plan.steps / 4 else "breaks down on the way"
            saw = f"the training loss is not finite any more at step {self.trial.last:,}, at rate {number(self.lr)}"
        else:
            name = RISES
            highest = max(self.raw[: max(3, len(self.raw) // 4)], key=lambda point: point[1])
            saw = f"the training loss is {number(highest[1], 3)} at step {highest[0]:,}"
            saw = f"{saw}; it began at about {number(self.initial, 3)}"
        return Finding(
            name,
            saw,
            "the rate is too high: lower it, and start again",
            self._sweep(0.1, 0.03, 0.01),
        )

    def plateau(self) -> Finding | None:
        """method/001, the purple line: drops, then flat. The later rate is too high: lower it, and train the last part again.
        A curve that is flat may have converged as well, so a lower rate that got deeper, or updates ten times too large, must
        bear witness."""
        late, near = median(value for _, value in self.raw[-(len(self.raw) // 3) :]), APART / 2 * self.fall
        if not self.constant or late < _low(self.raw[: len(self.raw) // 2]) - near:
            return None
        flat_from = next(step for step, value in self.loss if value <= late + near)
        deeper = [peer for peer in self._witnesses() if _low(peer.curve("train_loss")) < late - APART * self.fall]
        lower = [peer for peer in deeper if peer.plan.lr < self.lr]
        ratio = self._ratio()
        if lower:
            best = min(lower, key=lambda peer: _low(peer.curve("train_loss")))
            witness = f"rate {number(best.plan.lr)} got to {number(_low(best.curve('train_loss')), 3)}"
        elif ratio > 10 * HEALTHY and late > FLAT * self.initial:
            witness = f"an update is {number(ratio, 2)} of the parameters, where {HEALTHY} is healthy"
        else:
            return None
        return Finding(
            "drops and goes flat",
            f"the training loss is flat at {number(late, 3)} from step {flat_from:,}; {witness}",
            "the later rate is too high: decay it, and train the last part again",
            self._stage("stage3", "--starts", f"{max(1, flat_from)}"),
        )

    def slow(self) -> Finding | None:
        """method/001, the yellow line: slow all along. The rate is too low: raise it, and start again."""
        late, lowest = _late(self.raw), best_so_far(self.raw)
        if not self.constant or settled(self.raw) < 0.8 * self.end:
            return None
        sooner = [
            (step, peer)
            for peer in self._witnesses()
            if peer.plan.lr > self.lr
            for step in [next((s for s, low in best_so_far(peer.curve("train_loss")) if low <= late), math.inf)]
            if step * SOONER <= self.end
        ]
        first, half = lowest[0][1], next(low for step, low in lowest if step >= self.end / 2)
        share = (half - lowest[-1][1]) / (first - lowest[-1][1]) if first > lowest[-1][1] else 0.0
        if sooner:
            step, peer = min(sooner, key=lambda pair: pair[0])
            saw = f"the training loss is {number(late, 3)} at step {self.end:,}"
            saw = f"{saw}; rate {number(peer.plan.lr)} was there at step {step:,}"
        elif share > STEADY and not self.peers and not self._ratio() > HEALTHY:
            saw = f"{share:.0%} of the training loss's descent lies in the second half of the {self.end:,} steps"
        else:
            return None
        return Finding(
            "slow all along",
            saw,
            "the rate is too low: raise it, and start again",
            self._sweep(30, 10, 3),
        )

    def trembles(self) -> Finding | None:
        """method/001: too small a batch, or a rate too high that jumps to and fro across the valley. Either way the rate is too
        high for the batch, so it must not follow when that grows: the noise of the updates goes with lr / B."""
        half = [value for step, value in self.raw if step > self.end / 2]
        jitter = _jitter(half)
        if len(half) < FEWEST or self.fall <= 0 or jitter <= TREMBLE * self.fall:
            return None
        size = self.trial.plan.batch_size
        return Finding(
            "oscillates",
            f"the training loss jumps by {number(jitter, 2)} between evaluations, {jitter / self.fall:.0%} of its descent",
            "the batch is too small or the rate too high: try larger batches at the same rate, or lower rates",
            self._stage("stage2", "--batch-sizes", f"{size},{2 * size},{4 * size}", "--lr-scaling", "none"),
        )

    def not_falling(self) -> Finding:
        """method/001's list of causes, narrowed by what the curves measure; what needs the model `tune check` measures."""
        falls = [peer for peer in self.peers if self.initial - _low(peer.curve("train_loss")) > 5 * FLAT * abs(self.initial)]
        ratio, score = self._ratio(), {value for _, value in self.trial.curve(self.metric.name)[-LAST:]}
        causes = []
        if ratio < HEALTHY / 100:
            causes.append(f"an update is {number(ratio, 2)} of the parameters: gradients vanish, or the rate is far too low")
        elif ratio > 10 * HEALTHY:
            causes.append(f"an update is {number(ratio, 2)} of the parameters: the rate is far too high")
        if len(score) == 1 and self.metric.name not in ("val_loss", "train_loss"):
            still = f"{self.metric.name} is {number(*score)} at every one of the last {LAST} evaluations"
            causes.append(f"{still}: one answer for all, as of dead units")
        (first, began), late = self.raw[0], _late(self.raw)
        moved = f"the training loss is {number(began, 3)} at step {first:,} and {number(late, 3)} at step {self.end:,}"
        saw = "; ".join([moved, *causes])
        if falls:
            best = min(falls, key=lambda peer: _low(peer.curve("train_loss")))
            closer = sorted({best.plan.lr, float(f"{math.sqrt(best.plan.lr * self.lr):.1g}")}, reverse=True)
            return Finding(
                "does not fall",
                saw,
                f"rate {number(best.plan.lr)} falls, so the task is sound and it is the rate",
                self._stage("stage1", "--lrs", ",".join(f"{lr:g}" for lr in closer)),
            )
        recorded = self.task.startswith("replay:")  # what does not train cannot be checked
        return Finding(
            "does not fall",
            saw,
            "dead units, gradients that vanish or explode, wrong labels, inputs that are not normalised, a rate far off, or too "
            "much regularisation",
            self._stage("stage1", "--refine") if recorded else shlex.join(["tune", "check", self.task, *self.data]),
        )

    def sawtooth(self) -> Finding | None:
        """method/001: jumps at each epoch's start, then level, and not falling: the rate is too low. Epochs are found as the
        equal distances between jumps."""
        values = [value for _, value in self.raw]
        steps = [after - before for before, after in zip(values, values[1:])]
        typical, usual = _jitter(values), median(map(abs, steps))
        ups = [i for i, up in enumerate(steps) if up > 0 and up > 4 * usual and up > FLAT * abs(values[i])]
        gaps = [after - before for before, after in zip(ups, ups[1:])]
        if len(ups) < 3 or min(gaps) < 3 or max(gaps) - min(gaps) > 1 or typical == 0:
            return None
        first, last = values[ups[0] + 1], values[ups[-1] + 1]
        if first - last > APART * abs(first):
            return None
        period = self.raw[ups[1]][0] - self.raw[ups[0]][0]
        return Finding(
            "jumps at each epoch's start",
            f"the training loss jumps every {period:,} steps, as from {number(values[ups[0]], 3)} to {number(first, 3)}",
            "each epoch begins where the last one did: the rate is too low, or the examples come in the same order each time",
            self._sweep(10, 3),
        )

    def overfits(self) -> Finding | None:
        """method/001: training not of validation's order of magnitude."""
        curve = _finite(self.trial.curve("val_loss"))
        if len(curve) < FEWEST:
            return None
        train, valid = _late(self.raw), _late(curve)
        if not 0 <= train * MAGNITUDE < valid or valid < APART * self.initial:  # next to nothing is far above nothing at all
            return None
        times = f"{valid / train:,.0f} times it" if train > 0 else "far above it"
        return Finding(
            "overfits",
            f"at step {self.end:,} the training loss is {number(train, 2)}, validation's {number(valid, 2)}: {times}",
            "the model learns the examples by heart: augment the data, try weight decay (from 1e-4) and dropout",
            self._stage("stage4"),
        )

    def worsens(self) -> Finding | None:
        """method/001: training still falls, validation does not; fewer steps, or what helps against overfitting."""
        curve = _finite(self.trial.curve("val_loss"))
        if len(curve) < FEWEST or self.metric.name not in self.trial.points[-1].values:
            return None
        best, low = min(smooth(curve), key=lambda point: point[1])
        late = _late(curve)
        rise, there = late - low, [value for step, value in self.loss if step >= best]
        if rise <= max(APART * abs(curve[0][1] - low), 2 * _jitter([v for _, v in curve])) or _late(self.raw) >= there[0]:
            return None
        shorter = ("--task", self.task, *self.data, "--max-steps", f"{best + best // 2}")
        return Finding(
            "validation worsens while training improves",
            f"validation's loss was best at step {best:,}, {number(low, 3)}, and is {number(late, 3)} at step {self.end:,}",
            "what is learnt after that does not hold elsewhere: train fewer steps, on more or augmented data, a smaller model, "
            "or regularise it (stage 4)",
            self.study.command("run", "--study", f"{self.study.name}-short", *shorter),
        )

    def blind(self) -> Finding | None:
        """method/001: the loss falls, the accuracy does not: a higher rate, from the start. Both losses must fall, or it is
        overfitting; and a metric that is nearly perfect has nowhere to go. One that has improved since its first evaluation has
        converged, however much surer the answers still become."""
        name = self.metric.name
        score = _finite(self.trial.curve(name))
        valid = _finite(self.trial.curve("val_loss"))
        if name == "val_loss" or len(score) < FEWEST or len(valid) < FEWEST:
            return None
        third, values = len(score) // 3, [value for _, value in score]
        began, late = values[0], median(values[-third:])
        fell = all(median(v for _, v in c[-third:]) < 0.8 * median(v for _, v in c[:third]) for c in (self.raw, valid))
        perfect = self.metric.mode == "max" and 0.9 < began <= 1
        if not fell or perfect or self.metric.gain(late, began) > 2 * _jitter(values) + 0.01 * abs(began):
            return None
        return Finding(
            f"the loss falls, {name} does not",
            f"over {self.end:,} steps the training loss fell from {number(self.raw[0][1], 3)} to {number(_late(self.raw), 3)}, "
            f"{name} went from {number(began, 3)} to {number(late, 3)}",
            "raise the rate, and start again; where that does not help, the loss is not what the metric measures",
            self._sweep(10, 3),
        )

    def _witnesses(self) -> list[Trial]:
        """Those who validate better: a loss that is deeper, or sooner deep, is worth nothing without it."""
        mine = _score(self.metric, self.trial)
        return [peer for peer in self.peers if self.metric.gain(_score(self.metric, peer), mine) > 0]

    def _ratio(self) -> float:
        """The update ratio, over the second half; NaN where it was not measured."""
        values = [value for step, value in _finite(self.trial.curve("update_ratio")) if step >= self.end / 2]
        return median(values) if values else math.nan

    def _sweep(self, *factors: float) -> str:
        rates = ",".join(f"{self.lr * factor:.2g}" for factor in factors)
        return self._stage("stage1", "--lrs", rates)

    def _stage(self, name: str, *options: str) -> str:
        """A stage with these options, which is refused until the one before it is decided: till then all from the first on, and
        with the first all that rest on it."""
        own = ("--study", self.study.name)
        if f"stage{int(name[-1]) - 1}" in self.decided:
            return self.study.command(name, *own, *options)
        if name != "stage4":
            return self.study.command("run", *own, *options)
        return f"{self.study.command('run', *own)} && {self.study.command(name, *own, *options)}"


def _alike(one: Trial, other: Trial) -> bool:
    """They differ in a constant rate at most (and in the end of the path)."""
    same = (getattr(one.plan, name) == getattr(other.plan, name) for name in Plan.model_fields if name != "segments")
    return all(same) and _constant(one.plan)


def _constant(plan: Plan) -> bool:
    return all(isinstance(segment.rate, Constant) and not segment.optimizer for segment in plan.segments)


def _score(metric: Metric, trial: Trial) -> float:
    curve = _finite(trial.curve(metric.name))
    return _late(curve) if curve else math.nan


def _finite(curve: Curve) -> list[tuple[int, float]]:
    return [(step, value) for step, value in curve if math.isfinite(value)]


def _low(curve: Curve) -> float:
    return best_so_far(curve)[-1][1] if curve else math.inf


def _late(curve: Curve) -> float:
    """The value at the end: the median of the last tenth of the evaluations."""
    return median(value for _, value in curve[-tenth(len(curve)) :])


def _jitter(values: Sequence[float]) -> float:
    """Standard deviation of one value around its neighbours: from the median second difference (0.6745 sqrt(6) of it), so
    that neither a trend nor a few spikes are noise."""
    bends = [abs(a - 2 * b + c) for a, b, c in zip(values, values[1:], values[2:])]
    return median(bends) / (0.6745 * math.sqrt(6)) if bends else 0.0
